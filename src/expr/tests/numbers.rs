//! Literals as 32-bit floats, and the error function.

use proptest::prelude::*;

use crate::expr::Expr;
use crate::expr::special::erf;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The text gives the same float back, bit for bit.
    #[test]
    fn floats_round_trip(bits in any::<u32>()) {
        let value = f32::from_bits(bits);
        prop_assume!(value.is_finite());
        let text = Expr::from(value).to_msl();
        let read: f32 = text.strip_suffix('f').unwrap().parse().unwrap();
        prop_assert_eq!(read.to_bits(), bits, "{}", text);
        prop_assert_eq!(Expr::constant(f64::from(value)).to_msl(), text);
    }
}

/// Values from tables (Abramowitz and Stegun, 7.1).
#[test]
fn error_function() {
    for (x, want) in [
        (0.0, 0.0),
        (0.5, 0.520_499_877_813_046_5),
        (1.0, 0.842_700_792_949_714_9),
        (2.0, 0.995_322_265_018_952_7),
        (2.6, 0.999_763_965_583_470_7),
        (4.0, 0.999_999_984_582_742_1),
        (10.0, 1.0),
    ] {
        assert!((erf(x) - want).abs() < 1e-15, "{x}: {}", erf(x));
        assert_eq!(erf(-x), -erf(x));
    }
    assert!(erf(f64::NAN).is_nan());
    // The two methods meet.
    assert!((erf(2.5 - 1e-12) - erf(2.5 + 1e-12)).abs() < 1e-14);
    assert!((erf(1e-9) / 1e-9 - std::f64::consts::FRAC_2_SQRT_PI).abs() < 1e-15);
}
