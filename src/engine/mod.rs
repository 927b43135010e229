//! stub until the engine lands
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("stub")]
    Stub,
}
