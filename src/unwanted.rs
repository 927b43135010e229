//! Values that nobody wants any more, and whose destructors are somebody else's code.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Drops a value where a panic of its destructor has no caller to go to: a thread that has to live on,
/// or frames of C++. The panic has been reported by the panic hook then; no more comes of it.
pub(crate) fn drop_quietly<T>(value: T) {
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(value)));
    if let Err(payload) = dropped {
        // The payload's destructor may panic as well, and so on: once is enough.
        let again = catch_unwind(AssertUnwindSafe(|| drop(payload)));
        std::mem::forget(again);
    }
}

#[cfg(test)]
mod tests {
    use super::drop_quietly;

    struct Bomb(u32);
    impl Drop for Bomb {
        fn drop(&mut self) {
            if self.0 > 0 {
                std::panic::panic_any(Bomb(self.0 - 1));
            }
        }
    }

    #[test]
    fn whatever_the_destructor_does() {
        for depth in 0..4 {
            drop_quietly(Bomb(depth));
            drop_quietly(vec![Box::new(Bomb(depth)), Box::new(Bomb(0))]);
        }
    }
}
