//! Graphs of chains so long that a recursion over them would overflow a thread's stack.

use zmlx::prelude::*;
use zmlx::{checkpoint, compile, custom_function, eval, export_function, grad, jvp, vjp, vmap};

const DEEP: usize = 40_000;

/// `x + DEEP`, one at a time.
fn chain(x: &Array) -> zmlx::Result<Array> {
    let mut y = x.clone();
    let one = Array::from(1.0f32);
    for _ in 0..DEEP {
        y = y.add(&one)?;
    }
    Ok(y)
}

fn on_a_stack_of<T: Send>(bytes: usize, body: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|s| {
        let thread = std::thread::Builder::new().stack_size(bytes);
        thread.spawn_scoped(s, body).unwrap().join().unwrap()
    })
}

fn everything() {
    let x = Array::from_slice(&[0.5f32, 1.5], 2).unwrap();
    let want = [0.5 + DEEP as f32, 1.5 + DEEP as f32];
    let close = |y: &Array| {
        // Each addition may round.
        for (y, w) in y.to_vec::<f32>().unwrap().iter().zip(want) {
            assert!((y - w).abs() < 1.0, "{y} {w}");
        }
    };
    let many = |p: &[Array]| Ok(vec![chain(&p[0])?]);
    let y = chain(&x).unwrap();
    let copy = y.clone();
    drop(chain(&x).unwrap());
    eval([&y]).unwrap();
    close(&copy);

    let (y, g) = vjp(many, [&x], [&x]).unwrap();
    drop(y);
    assert_eq!(g[0].to_vec::<f32>().unwrap(), [0.5, 1.5]);
    let (_, t) = jvp(many, [&x], [&x]).unwrap();
    assert_eq!(t[0].to_vec::<f32>().unwrap(), [0.5, 1.5]);
    let slope = grad(|x: &Array| chain(x)?.sum(..));
    assert_eq!(slope(&x).unwrap().to_vec::<f32>().unwrap(), [1.0, 1.0]);
    close(&vmap(many).call([&x]).unwrap()[0]);
    let kept = checkpoint(many).unwrap();
    let slope = grad(|x: &Array| kept(std::slice::from_ref(x))?[0].sum(..));
    assert_eq!(slope(&x).unwrap().to_vec::<f32>().unwrap(), [1.0, 1.0]);
    let custom = custom_function(many).with_vjp(|_, c, _| Ok(vec![(&c[0] * 2.0)?]));
    let slope = grad(|x: &Array| custom.call1(x)?.sum(..));
    assert_eq!(slope(&x).unwrap().to_vec::<f32>().unwrap(), [2.0, 2.0]);
}

#[test]
fn on_small_stacks() {
    on_a_stack_of(512 << 10, everything);
}

/// Operations that do not fuse, whose cost in `compile` is in proportion to their number.
#[test]
fn compiled_and_exported() {
    on_a_stack_of(1 << 20, || {
        let f = |x: &[Array]| {
            let mut y = x[0].clone();
            for _ in 0..DEEP {
                y = y.sort(0)?;
            }
            Ok(vec![y])
        };
        let x = Array::from_slice(&[2.0f32, 1.0], 2).unwrap();
        let compiled = compile(f).unwrap();
        let y = compiled.call([&x]).unwrap();
        assert_eq!(y[0].shape(), [2]);
        drop(y);
        let path = std::env::temp_dir().join(format!("zmlx-deep-{}.mlxfn", std::process::id()));
        export_function(&path, f, [&x], false).unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() > DEEP as u64);
        let _ = std::fs::remove_file(path);
    });
}

#[test]
fn what_is_too_deep_is_an_error() {
    let one = Array::from(1.0f32);
    let f = |p: &[Array]| {
        let mut y = p[0].clone();
        for _ in 0..530_000 {
            y = y.add(&one)?;
        }
        Ok(vec![y])
    };
    let e = vjp(f, [&one], [&one]).unwrap_err();
    assert!(matches!(e, zmlx::Error::Argument { .. }), "{e}");
    assert!(e.to_string().contains("at most "), "{e}");
    assert!(e.to_string().contains("got 53000"), "{e}");
    assert!(e.to_string().contains("tests/deep_graphs.rs"), "{e}");
}
