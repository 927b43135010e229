//! The memory counters: one test, because they count all threads together.

use zmlx::{Array, memory};

#[test]
fn counters_follow_an_allocation() {
    memory::clear_cache().unwrap();
    let before = memory::active().unwrap();
    memory::reset_peak().unwrap();
    let x = Array::from_slice(&vec![1.0f32; 1 << 20], 1 << 20).unwrap();
    let with = memory::active().unwrap();
    assert!(with >= before + (4 << 20), "{before} {with}");
    assert!(memory::peak().unwrap() >= with);
    drop(x);
    assert!(memory::active().unwrap() <= with - (4 << 20));

    let limit = memory::limit().unwrap();
    assert_eq!(memory::set_limit(limit / 2).unwrap(), limit);
    assert_eq!(memory::set_limit(limit).unwrap(), limit / 2);
    let cache = memory::set_cache_limit(1 << 20).unwrap();
    assert_eq!(memory::set_cache_limit(cache).unwrap(), 1 << 20);
    memory::clear_cache().unwrap();
    assert_eq!(memory::cache().unwrap(), 0);
    memory::set_wired_limit(0).unwrap();
}
