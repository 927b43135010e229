use zmlx::prelude::*; use zmlx::MetalKernel; use std::time::Instant;
fn main() {
    let n = 16<<20;
    let v: Vec<f32> = (0..n).map(|i| (i % 4001) as f32 / 500.0 - 4.0).collect();
    let x = Array::from_slice(&v, n).unwrap();
    for (name, src) in [("x*2","uint i = thread_position_in_grid.x; out[i] = x[i]*2.0f;"),("silu","uint i = thread_position_in_grid.x; T v = x[i]; out[i] = v / (1 + metal::exp(-v));"),("none","uint i = thread_position_in_grid.x; if (i==0) out[i]=1;")] {
        let k = MetalKernel::new("t", ["x"], ["out"]).source(src).build().unwrap();
        let mut keep = vec![];
        for r in 0..6 { let [y] = k.launch(&[&x]).template("T", F32).run().unwrap(); let t = Instant::now(); y.eval().unwrap(); println!("{name} {:?}", t.elapsed()); if r == 5 { keep.push(y) } }
    }
}
