fn main() {
    let mlx = std::env::var("MLX_DIR").unwrap_or("/tmp/mlx/mlx".into());
    let bridges: Vec<_> = std::fs::read_dir("src/bridge")
        .unwrap()
        .chain(std::fs::read_dir("src/bridge/ops").unwrap())
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_file())
        .filter(|p| {
            std::fs::read_to_string(p)
                .unwrap()
                .contains("#[cxx::bridge")
        })
        .collect();
    let mut b = cxx_build::bridges(&bridges);
    for e in std::fs::read_dir("cpp/src").unwrap() {
        b.file(e.unwrap().path());
    }
    b.include("cpp/include")
        .flag("-isystem")
        .flag(format!("{mlx}/include"))
        .std("c++20")
        .opt_level(1)
        .compile("zmlx_bridge");
    println!("cargo:rustc-link-search=native={mlx}/lib");
    println!("cargo:rustc-link-lib=dylib=mlx");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{mlx}/lib");
    println!("cargo:rerun-if-changed=src/bridge");
    println!("cargo:rerun-if-changed=cpp");
}
