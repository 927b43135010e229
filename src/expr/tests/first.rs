use crate::expr::Expr;

#[test]
fn smoke() {
    let mish = Expr::parse("x * tanh(kk_softplus(x))", &["x"]).unwrap();
    let mut e = mish;
    for i in 0..3 {
        println!("{i}: {} {:?}", e.node_count(), e);
        e = e.derivative("x").unwrap();
    }
    println!("3: {}", e.node_count());
    println!("{}", Expr::parse("x * kk_sigmoid(y)", &["x"]).unwrap_err());
    println!("{:?}", (1.0 + Expr::var("x")).exp());
    let s = crate::expr::share(&[e], "t");
    for (n, v) in s.bindings {
        println!("{n} = {v}");
    }
    println!("{}", s.results[0]);
}
