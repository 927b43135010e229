//! Expressions from Rust.

use crate::Result;
use crate::expr::{Expr, IntoExpr, select, trace};

/// As the toolkit's functions take them.
fn unary<M>(e: impl IntoExpr<1, M>) -> Result<String> {
    Ok(e.into_expr(["x"])?.to_msl())
}

fn binary<M>(e: impl IntoExpr<2, M>) -> Result<String> {
    Ok(e.into_expr(["a", "b"])?.to_msl())
}

#[test]
fn inference() -> Result<()> {
    let x = Expr::var("x");
    assert_eq!(unary("x * kk_sigmoid(x)")?, "x * kk_sigmoid(x)");
    assert_eq!(unary(String::from("x"))?, "x");
    assert_eq!(unary(Expr::var("x") + 1)?, "x + 1.0f");
    assert_eq!(unary(&x)?, "x");
    let mish = "x * metal::tanh(kk_softplus(x))";
    assert_eq!(unary(|x: Expr| x.clone() * x.softplus().tanh())?, mish);
    assert_eq!(unary(trace(|x| x.clone() * x.softplus().tanh()))?, mish);
    let scale = Expr::from(0.5_f32);
    assert_eq!(unary(trace(|x| scale * x))?, "0.5f * x");
    assert_eq!(unary(Expr::exp_of)?, "metal::exp(x)");
    assert_eq!(binary("a + b")?, "a + b");
    assert_eq!(binary(|a: Expr, b: Expr| a.max(b))?, "metal::max(a, b)");
    let three = |a: Expr, b: Expr, c: Expr| a.fma(b, c);
    assert_eq!(
        three.into_expr(["p", "q", "r"])?.to_msl(),
        "metal::fma(p, q, r)"
    );
    let four = |a: Expr, b: Expr, c: Expr, d: Expr| select(a.lt(b), c, d);
    assert_eq!(
        four.into_expr(["p", "q", "r", "s"])?.to_msl(),
        "p < q ? r : s"
    );
    Ok(())
}

impl Expr {
    /// A plain function instead of a closure.
    fn exp_of(x: Expr) -> Expr {
        x.exp()
    }
}

#[test]
fn undeclared_variables_of_values_are_refused() {
    let error = unary(Expr::var("q") * 2).unwrap_err().to_string();
    assert!(
        error.contains("undeclared variable `q` (declared: x)"),
        "{error}"
    );
    let q = Expr::var("q");
    assert!(unary(trace(|x| x * q)).is_err());
}

#[test]
fn operators() {
    let x = Expr::var("x");
    let y = Expr::var("y");
    assert_eq!((&x + &y).to_msl(), "x + y");
    assert_eq!((x.clone() - 1.5).to_msl(), "x - 1.5f");
    assert_eq!((2 * &x).to_msl(), "2.0f * x");
    assert_eq!((1.0 / x.clone()).to_msl(), "1.0f / x");
    assert_eq!((&x * 0.1_f32).to_msl(), "x * 0.1f");
    assert_eq!((-&x % &y).to_msl(), "metal::fmod(-x, y)");
    assert_eq!((1.0 + &x).exp().to_msl(), "metal::exp(1.0f + x)");
    assert_eq!((&x * 2.0).exp().to_msl(), "metal::exp(x * 2.0f)");
    assert_eq!(x.clamp(0, 6).to_msl(), "metal::clamp(x, 0.0f, 6.0f)");
    assert_eq!(x.recip().square().to_msl(), "1.0f / x * (1.0f / x)");
    assert_eq!(
        x.ge(0).and(y.ne(x.floor())).to_msl(),
        "x >= 0.0f && y != metal::floor(x)"
    );
    assert_eq!(
        select(x.le(1).or(y.eq(2)), &x, 0).to_msl(),
        "x <= 1.0f || y == 2.0f ? x : 0.0f"
    );
    assert_eq!(Expr::from(f32::MIN_POSITIVE).to_msl(), "1.1754944e-38f");
    assert_eq!(Expr::constant(f64::NAN).to_msl(), "NAN");
    assert_eq!(Expr::constant(1e300).to_msl(), "INFINITY");
    assert_eq!(Expr::constant(-1.0).to_msl(), "-1.0f");
    assert_eq!((&x - -1.0).to_msl(), "x - -1.0f");
    assert_eq!((-Expr::constant(-1.0)).to_msl(), "-(-1.0f)");
}

#[test]
fn equality_is_structural() {
    use std::collections::HashSet;
    let one = (Expr::var("x") + 1).exp();
    let two = (Expr::var("x") + 1.0).exp();
    assert!(one == two);
    assert!(one != (1 + Expr::var("x")).exp());
    assert_eq!(HashSet::from([one, two]).len(), 1);
    let parsed = Expr::parse("exp(x + 1.0f)", &["x"]).unwrap();
    assert_eq!(parsed, (Expr::var("x") + 1).exp());
}

#[test]
fn substitution() {
    let e = Expr::parse("x * exp(x) + y", &["x", "y"]).unwrap();
    assert_eq!(
        e.substitute("x", &Expr::var("y")).to_msl(),
        "y * metal::exp(y) + y"
    );
    assert_eq!(e.substitute("q", &Expr::var("y")), e);
    // At once, not again and again.
    let twice = e.substitute("x", &(Expr::var("x") + Expr::var("y")));
    assert_eq!(twice.to_msl(), "(x + y) * metal::exp(x + y) + y");
}

#[test]
fn shared_between_threads() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<Expr>();
    // Nodes made and dropped at the same time by everyone are still the same nodes.
    let build = || {
        let mut e = Expr::var("x");
        for i in 0..200 {
            e = (e * i).tanh();
        }
        e
    };
    let threads: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(move || {
                for _ in 0..50 {
                    assert_eq!(build(), build());
                }
                build()
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), build());
    }
}
