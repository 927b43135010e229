//! The derive of `zmlx::nn::Module`. Programs take it from there and name only zmlx.

mod module;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct a tree of parameters, by the names of its fields; an enum is the tree of its present variant.
///
/// Each field has to be a module: `Param`, `Buffer`, a layer, another derived struct; `Vec`, `Option`, `Box`, arrays, maps of
/// those; numbers, bools and texts, which have no parameters. `#[module(skip)]` leaves a field out, `#[module(flatten)]` gives the names
/// below it to the struct itself, `#[module(rename = "name")]` changes its name.
#[proc_macro_derive(Module, attributes(module))]
pub fn module(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    module::derive(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
