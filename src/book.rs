//! Runs the listings of `docs/book`, and of what stands beside it, with the other documentation tests: a struct for each chapter, whose name the test has.

macro_rules! chapters {
    ($($name:ident $file:literal)*) => {$(
        #[doc = include_str!(concat!("../docs/book/src/", $file))]
        struct $name;
    )*};
}

chapters! {
    Start "start.md"
    Arrays "arrays.md"
    Expressions "expressions.md"
    Metal "metal.md"
    Derivatives "derivatives.md"
    Rows "rows.md"
    Cookbook "cookbook.md"
    Autotuning "autotuning.md"
    Testing "testing.md"
    Debugging "debugging.md"
    Threads "threads.md"
    Models "models.md"
    Deploying "deploying.md"
    Machines "machines.md"
    Interop "interop.md"
    ComingFrom "../../COMING_FROM.md"
}
