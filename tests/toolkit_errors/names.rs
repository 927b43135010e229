//! Names of inputs: each is refused when the operation is described, or means the input.

use super::*;
use zmlx::{rowwise, vjp};

/// What generated text calls its own, what headers of Metal define, and names that only look like it.
const NAMES: [&str; 40] = [
    "acc",
    "acc1",
    "acc2",
    "s1",
    "s2",
    "s",
    "O0",
    "O1",
    "T",
    "D",
    "TG",
    "VEC",
    "ITEMS",
    "y",
    "y1",
    "y_out",
    "y1_out",
    "x_in",
    "x_out",
    "out",
    "in",
    "g",
    "a",
    "b",
    "i",
    "n",
    "v",
    "row",
    "j",
    "elem",
    "NAN",
    "INFINITY",
    "NULL",
    "M_PI_F",
    "FLT_MAX",
    "INT_MAX",
    "METAL_FUNC",
    "assert",
    "thread_position_in_grid",
    "threads_per_grid",
];

/// The values of what may be described; of the others the error names the name.
fn right_or_refused(what: &str, name: &str, built: Result<Array>, want: &[f32]) {
    match built {
        Ok(y) => assert_eq!(y.to_vec::<f32>().unwrap(), want, "{what} of `{name}`"),
        Err(e) => {
            let text = e.to_string();
            assert!(
                matches!(e, Error::Argument { .. }),
                "{what} of `{name}`: {e:?}"
            );
            assert!(
                text.contains(&format!("`{name}`")),
                "{what} of `{name}`: {text}"
            );
            assert!(text.contains("names.rs"), "{what} of `{name}`: {text}");
        }
    }
}

#[test]
fn of_elements() {
    on_worker(|| {
        let x = Array::from_slice(&[1.0f32, 2.0], 2).unwrap();
        for name in NAMES {
            let call =
                || elementwise::map("f", [name], &*format!("{name} * {name} + 1"))?.call(&[&x]);
            right_or_refused("map", name, call(), &[2.0, 5.0]);
            let call = || {
                let value = format!("{name} * {name}");
                let op = autograd::map_from_expr("f", [name], &*value)
                    .vjp(name, "g * 7.0f")
                    .build()?;
                let f = |p: &[Array]| Ok(vec![op.call(&[&p[0]])?]);
                Ok(vjp(f, [&x], [&x])?.1.remove(0))
            };
            right_or_refused("gradient", name, call(), &[7.0, 14.0]);
        }
    });
}

#[test]
fn of_rows() {
    on_worker(|| {
        let x = Array::from_slice(&[1.0f32, 2.0], (1, 2)).unwrap();
        for name in NAMES {
            let sum = |value: String| Pass {
                init: "0.0f",
                update: Box::leak(format!("acc1 + {value}").into_boxed_str()),
                reduce: "a + b",
            };
            let call = || {
                let op = rowwise::map_reduce("f")
                    .inputs([name])
                    .pass(sum(name.to_owned()));
                op.write(&format!("{name} * s1")).build()?.call(&x)
            };
            right_or_refused("rows", name, call(), &[3.0, 6.0]);
            if name == "q" {
                continue;
            }
            let call = || {
                let op = rowwise::map_reduce("f")
                    .inputs(["q"])
                    .parameter(name)
                    .pass(sum("q".into()));
                op.write(&format!("{name} * s1 + q"))
                    .build()?
                    .call_all(&[&x, &Array::from(10.0f32)])
                    .map(|mut y| y.remove(0))
            };
            right_or_refused("parameter", name, call(), &[31.0, 32.0]);
        }
    });
}

#[test]
fn of_kernels() {
    on_worker(|| {
        let x = Array::from_slice(&[1.0f32, 2.0], 2).unwrap();
        for name in NAMES.into_iter().filter(|n| *n != "out" && *n != "i") {
            let call = || {
                let text =
                    format!("uint i = thread_position_in_grid.x; out[i] = {name}[i] + 1.0f;");
                let kernel = MetalKernel::new("f", [name], ["out"])
                    .source(text)
                    .build()?;
                let [y] = kernel.launch(&[&x]).output(2, F32).grid(2).run()?;
                Ok(y)
            };
            right_or_refused("kernel", name, call(), &[2.0, 3.0]);
        }
    });
}
