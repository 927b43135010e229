//! Outputs that a kernel's text never mentions, or only reads: nothing can write them, so they would stay arbitrary
//! memory.

use crate::engine::msl::items::{tokens, without_comments, words};
use crate::{Error, Result};

use super::spec::KernelBuilder;

/// Refuses a kernel with an output that its text never mentions, comments aside, or only reads.
///
/// A name may come from a macro, of the header, too; and one that is pasted together (`##`) cannot be told.
#[track_caller]
pub(super) fn check(spec: &KernelBuilder) -> Result<()> {
    let texts = [&spec.source, &spec.header].map(|t| t.replace("\\\r\n", "").replace("\\\n", ""));
    let [source, header] = &texts;
    if texts.iter().any(|t| t.contains("##") || t.contains("%:%:")) {
        return Ok(());
    }
    let in_source = words(source);
    let mut in_macros: Option<Vec<String>> = None;
    for name in &spec.outputs {
        let mentioned = in_source.binary_search(name).is_ok();
        if mentioned && !only_read(source, name) {
            continue;
        }
        let macros = in_macros.get_or_insert_with(|| words(&macros(header)));
        if macros.binary_search(name).is_err() {
            return Err(Error::argument(
                "source",
                format_args!("a text that writes every output of `{}`", spec.name),
                format_args!(
                    "one that {} `{name}`, which would stay uninitialised memory (write 0 where there is nothing to say)",
                    if mentioned {
                        "only reads"
                    } else {
                        "never mentions"
                    }
                ),
            ));
        }
    }
    Ok(())
}

/// Whether every mention of the name is an element whose value is taken: what may be a write is none.
fn only_read(text: &str, name: &str) -> bool {
    let tokens = tokens(text);
    let mut mentions = (0..tokens.len()).filter(|&at| tokens[at] == name);
    mentions.all(|at| is_read(&tokens, at))
}

/// Whether the word at `at` begins an element, `y[i]`, beside an operator that takes values.
fn is_read(tokens: &[&str], at: usize) -> bool {
    const BEFORE: [&str; 16] = [
        "+", "-", "*", "/", "%", "<", "<=", "==", "!=", "&&", "||", "!", "+=", "-=", "*=", "/=",
    ];
    const BEHIND: [&str; 13] = [
        "+", "-", "*", "/", "%", "<", "<=", "==", "!=", "&&", "||", "?", "<<",
    ];
    let str = |at: usize| tokens.get(at).copied().unwrap_or("");
    let before = |n: usize| at.checked_sub(n).map_or("", str);
    if str(at + 1) != "[" {
        return false;
    }
    let mut depth = 0usize;
    let close = (at + 1..tokens.len()).find(|&p| {
        match tokens[p] {
            "[" => depth += 1,
            "]" => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    let Some(close) = close else {
        return false;
    };
    // `>`, `>=` and `>>`, but not `>>=`: the lexer leaves those that begin with `>` apart.
    let greater = str(close + 1) == ">" && (str(close + 2) != ">" || str(close + 3) != "=");
    if BEHIND.contains(&str(close + 1)) || greater {
        return true;
    }
    let ends = matches!(str(close + 1), ";" | "," | ")" | "]" | ":");
    // `float v = y[i];`, but not `device float& r = y[i];`
    let assigned = before(1) == "=" && !matches!(before(3), "&" | "&&") && !before(2).is_empty();
    ends && (BEFORE.contains(&before(1)) || (assigned && str(close + 1) == ";"))
}

/// The definitions of macros. `%:` is another way to write `#`.
fn macros(text: &str) -> String {
    let text = without_comments(text);
    let lines = text.lines().filter_map(|line| {
        let line = line.trim_start();
        let rest = line.strip_prefix('#').or(line.strip_prefix("%:"))?;
        rest.trim_start().strip_prefix("define")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use crate::MetalKernel;

    #[test]
    fn outputs_have_to_be_mentioned() {
        let build = |header: &str, source: &str| {
            MetalKernel::new("pair", ["x"], ["low", "high"])
                .header(header)
                .source(source)
                .build()
        };
        for (header, source) in [
            ("", "low[0] = x[0];"),
            ("", "low[0] = x[0]; // high[0] = x[0];"),
            ("", "low[0] = x[0]; /* high */ lowhigh();"),
            (
                "inline void put(device float* high) { high[0] = 1; }",
                "put(low);",
            ),
            ("/*\n#define BOTH high\n*/", "low[0] = x[0];"),
        ] {
            let error = build(header, source).unwrap_err().to_string();
            assert!(
                error.contains("never mentions `high`") && error.contains("`pair`"),
                "{error}"
            );
        }
        for source in [
            "if (high[0] == 0) low[0] = x[0];",
            "low[0] = high[0];",
            "float v = high[n[0]] * 2; low[0] = v;",
            "low[0] = x[0] + high[0]; if (high[0] >= 2 && high[1] > 1) return;",
            "low[0] = (x[0] > high[0] ? 1 : 2) - high[1]; low[0] += high[2];",
        ] {
            let error = build("", source).unwrap_err().to_string();
            assert!(error.contains("only reads `high`"), "{source}: {error}");
        }
        for written in [
            "device auto* p = high + 1; *p = 1;",
            "put(high, 0, 1.0f);",
            "put(high[0], 1.0f);",
            "*high = 1;",
            "*(high + 1) = 1;",
            "high[0] += 1;",
            "high[0] >>= 1;",
            "high[0]++;",
            "--high[0];",
            "high[0].x = 1;",
            "0[high] = 1;",
            "device float& r = high[0]; r = 1;",
            "auto&& r = high[0]; r = 1;",
            "atomic_fetch_add_explicit(&high[0], 1, memory_order_relaxed);",
            "(x[0] > 0 ? high[0] : low[1]) = 1;",
            "(x[0] > 0 ? low[1] : high[0]) = 1;",
            "Where w{high}; w.p[0] = 1;",
        ] {
            build("", &format!("low[0] = 1; {written}")).unwrap();
        }
        for (header, source) in [
            ("", "low[0] = x[0]; high[0] = x[0];"),
            (
                "",
                "device auto* p = thread_position_in_grid.x > 0 ? low : high; *p = x[0];",
            ),
            (
                "#define BOTH(v) low[0] = v; \\\n  high[0] = v",
                "BOTH(x[0]);",
            ),
            ("# /* both */ define PUT low[0] = high[0] = x[0]", "PUT;"),
            ("%:define PUT low[0] = high[0] = x[0]", "PUT;"),
            ("#define TO(n) n##h[0]", "low[0] = x[0]; TO(hig) = x[0];"),
            ("", "#define PUT(v) high[0] = v\nlow[0] = x[0]; PUT(x[0]);"),
        ] {
            build(header, source).unwrap();
        }
    }
}
