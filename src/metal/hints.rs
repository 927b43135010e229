//! What a compiler's words mean for a kernel's author: names that do not exist, and which they could have meant.

use crate::engine::EngineError;
use crate::msl::distance;

use super::TemplateArg;
use super::launch::Launch;

/// The problem, with an unknown name explained.
pub(super) fn explained(problem: EngineError, launch: &Launch<'_>) -> EngineError {
    let EngineError::Compile(mut error) = problem else {
        return problem;
    };
    if let Some(name) = unknown(&error.message)
        && let Some(words) = words(name, launch)
    {
        error.message = format!("{words} ({})", error.message);
    }
    EngineError::Compile(error)
}

/// The name that the compiler does not know.
fn unknown(message: &str) -> Option<&str> {
    const SAYINGS: &[&str] = &[
        "was not declared in this scope",
        "was not declared",
        "does not name a type",
        "has not been declared",
        "is not a member of",
        "there are no arguments to",
        "use of undeclared identifier",
        "unknown type name",
        "no member named",
        "no template named",
        "has no member",
        "is undefined",
    ];
    if !SAYINGS.iter().any(|s| message.contains(s)) {
        return None;
    }
    let quote = |c: char| matches!(c, '\'' | '"' | '\u{2018}' | '\u{2019}');
    // `namespace "metal" has no member "gelu"`: the name comes last.
    let message = message
        .split_once("has no member")
        .map_or(message, |(_, name)| name);
    let start = message.find(quote)? + message[message.find(quote)?..].chars().next()?.len_utf8();
    let rest = &message[start..];
    let name = &rest[..rest.find(quote)?];
    // Without namespaces, and nothing of the engine's own.
    let name = name.rsplit("::").next()?;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let good = !name.is_empty() && name.chars().all(word) && !name.starts_with("zmlx");
    good.then_some(name)
}

/// What is known about the name, if anything.
fn words(name: &str, launch: &Launch<'_>) -> Option<String> {
    let kernel = launch.kernel;
    let template = || launch.template.iter().map(|&(n, _)| n);
    let is_type = name.chars().next().is_some_and(|c| c.is_ascii_uppercase()) && name.len() <= 2;
    if is_type || template().any(|n| near(n, name)) {
        let given: Vec<String> = launch
            .template
            .iter()
            .map(|(n, value)| match value {
                TemplateArg::Dtype(_) => (*n).to_owned(),
                TemplateArg::Int(v) => format!("{n} = {v}"),
                TemplateArg::Bool(v) => format!("{n} = {v}"),
                TemplateArg::TooLarge(v) => format!("{n} = {v}"),
            })
            .collect();
        let given = if given.is_empty() {
            "none".to_owned()
        } else {
            given.join(", ")
        };
        return Some(format!(
            "`{name}` is not declared; template arguments given: {given}"
        ));
    }
    let buffers = kernel.input_names().iter().chain(kernel.output_names());
    let own = buffers.map(String::as_str).find(|n| near(n, name));
    if let Some(own) = own {
        return Some(format!("`{name}` is not known; did you mean `{own}`?"));
    }
    let known = crate::msl::function_like(name)?;
    Some(match known == name {
        true => format!(
            "`{name}` is a function of zmlx's library: put `zmlx::msl::header_for(source)` into the kernel's `header`"
        ),
        false => format!("`{name}` is not known; did you mean `{known}`?"),
    })
}

/// Whether two names differ by a letter, or in case only.
fn near(a: &str, b: &str) -> bool {
    a.len() > 1 && b.len() > 1 && distance(a, b) <= 1 || a.eq_ignore_ascii_case(b)
}

#[cfg(test)]
mod tests {
    use super::unknown;

    #[test]
    fn names_in_what_compilers_say() {
        for (message, name) in [
            ("'sigmoid' was not declared in this scope", Some("sigmoid")),
            ("'T' does not name a type", Some("T")),
            ("'gelu' is not a member of 'metal'", Some("gelu")),
            (
                "use of undeclared identifier 'foo'; did you mean 'fog'?",
                Some("foo"),
            ),
            ("identifier \"foo\" is undefined", Some("foo")),
            ("namespace \"metal\" has no member \"gelu\"", Some("gelu")),
            ("expected ';' before '}' token", None),
        ] {
            assert_eq!(unknown(message), name);
        }
    }
}
