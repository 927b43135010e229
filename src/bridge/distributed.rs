//! `mlx/distributed/distributed.h` and `mlx/distributed/ops.h`.

#[cxx::bridge(namespace = "zmlx::distributed")]
pub(crate) mod ffi {
    unsafe extern "C++" {
        include!("zmlx/distributed.h");

        #[namespace = "zmlx"]
        type Array = crate::bridge::array::ffi::Array;
        #[namespace = "zmlx"]
        type Dtype = crate::Dtype;
        #[namespace = "zmlx"]
        type StreamRef = crate::bridge::StreamRef;
        type Group;

        fn is_available(backend: &str) -> Result<bool>;
        fn init(strict: bool, backend: &str) -> Result<SharedPtr<Group>>;
        fn clear_backends() -> Result<()>;
        fn rank(g: &Group) -> Result<i32>;
        fn size(g: &Group) -> Result<i32>;
        fn on_gpu(g: &Group) -> Result<bool>;
        fn split(g: &Group, color: i32, key: i32) -> Result<SharedPtr<Group>>;
        fn all_sum(x: &Array, g: &Group, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn all_max(x: &Array, g: &Group, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn all_min(x: &Array, g: &Group, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn all_gather(x: &Array, g: &Group, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn sum_scatter(x: &Array, g: &Group, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn send(x: &Array, to: i32, g: &Group, s: StreamRef) -> Result<UniquePtr<Array>>;
        fn recv(
            dims: &[i32],
            of: Dtype,
            from: i32,
            g: &Group,
            s: StreamRef,
        ) -> Result<UniquePtr<Array>>;
    }
}
