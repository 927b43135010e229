//! The two walks over the fields of a type.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Error, Field, Fields, Ident, LitStr, Result};

/// What a field's attribute says.
#[derive(Default)]
struct Options {
    skip: bool,
    flatten: bool,
    rename: Option<String>,
}

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let variants: Vec<(TokenStream, &Fields)> = match &input.data {
        Data::Struct(data) => vec![(quote!(Self), &data.fields)],
        Data::Enum(data) => {
            let named = data.variants.iter().map(|v| {
                let name = &v.ident;
                (quote!(Self::#name), &v.fields)
            });
            named.collect()
        }
        Data::Union(data) => {
            let message = "a union has no fields that all are there";
            return Err(Error::new(data.union_token.span, message));
        }
    };
    let mut shared = Vec::new();
    let mut changing = Vec::new();
    let mut types = Vec::new();
    for (path, fields) in variants {
        let (pattern, calls) = arm(fields, &mut types)?;
        shared.push(quote!(#path #pattern => { #(#calls)* }));
        changing.push(quote!(#path #pattern => { #(#calls)* }));
    }
    // An enum without variants has no value to look at.
    let of = |arms: &[TokenStream]| match arms.is_empty() {
        true => quote!(match *self {}),
        false => quote!(match self { #(#arms)* }),
    };
    let (shared, changing) = (of(&shared), of(&changing));
    let name = &input.ident;
    let (implementation, generics, bounds) = input.generics.split_for_impl();
    let bounds = match (bounds, input.generics.params.is_empty()) {
        (bounds, true) => quote!(#bounds),
        (Some(bounds), false) => quote!(#bounds #(, #types: ::zmlx::nn::Module)*),
        (None, false) => quote!(where #(#types: ::zmlx::nn::Module),*),
    };
    Ok(quote! {
        #[automatically_derived]
        #[allow(unused_variables, clippy::ref_option)]
        impl #implementation ::zmlx::nn::Module for #name #generics #bounds {
            fn visit<'zmlx>(&'zmlx self, to: &mut ::zmlx::nn::Visit<'zmlx, '_>) {
                #shared
            }
            fn visit_mut(&mut self, to: &mut ::zmlx::nn::VisitMut<'_>) {
                #changing
            }
        }
    })
}

/// A pattern that binds the fields, and what is done with each.
fn arm(fields: &Fields, types: &mut Vec<syn::Type>) -> Result<(TokenStream, Vec<TokenStream>)> {
    let mut bound = Vec::new();
    let mut calls = Vec::new();
    for (i, field) in fields.iter().enumerate() {
        let local = format_ident!("field{i}");
        let options = options(field)?;
        let name = match (&options.rename, &field.ident) {
            (Some(name), _) => name.clone(),
            (None, Some(name)) => plain(name),
            (None, None) => i.to_string(),
        };
        if !options.skip {
            types.push(field.ty.clone());
            calls.push(match options.flatten {
                true => quote!(to.flat(#local);),
                false => quote!(to.field(#name, #local);),
            });
        }
        let pattern = match (&field.ident, options.skip) {
            (Some(name), false) => quote!(#name: #local),
            (Some(name), true) => quote!(#name: _),
            (None, false) => quote!(#local),
            (None, true) => quote!(_),
        };
        bound.push(pattern);
    }
    let pattern = match fields {
        Fields::Named(_) => quote!({ #(#bound),* }),
        Fields::Unnamed(_) => quote!(( #(#bound),* )),
        Fields::Unit => TokenStream::new(),
    };
    Ok((pattern, calls))
}

/// A raw identifier, `r#type`, has the name `type`.
fn plain(name: &Ident) -> String {
    let name = name.to_string();
    name.strip_prefix("r#").unwrap_or(&name).to_owned()
}

fn options(field: &Field) -> Result<Options> {
    let mut options = Options::default();
    for attribute in field.attrs.iter().filter(|a| a.path().is_ident("module")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("skip") {
                options.skip = true;
            } else if meta.path.is_ident("flatten") {
                options.flatten = true;
            } else if meta.path.is_ident("rename") {
                options.rename = Some(meta.value()?.parse::<LitStr>()?.value());
            } else {
                return Err(meta.error("expected `skip`, `flatten` or `rename = \"name\"`"));
            }
            Ok(())
        })?;
    }
    Ok(options)
}
