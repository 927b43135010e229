//! Comparisons run, count bytes, keep going past failures. No times are asserted.

mod common;

use std::cell::Cell;
use std::time::Duration;

use common::on_worker;
use zmlx::bench::{self, Settings};
use zmlx::prelude::*;
use zmlx::testing::Values;

#[test]
fn rows_for_shapes_and_dtypes() {
    on_worker(|| {
        let rows = bench::compare([
            ("a", &|x| x.exp()),
            ("fails", &|x| x.reshape(7)),
            ("b", &|x| x.square()?.exp()),
        ])
        .shapes(((16,), (4, 8)))
        .dtypes([F32, F16])
        .kernel("exp")
        .settings(Settings::quick())
        .run()
        .unwrap();
        let cases: Vec<_> = rows
            .iter()
            .map(|r| (r.shape.clone(), r.dtype, r.bytes))
            .collect();
        let want = [
            (vec![16], F32, 128),
            (vec![16], F16, 64),
            (vec![4, 8], F32, 256),
            (vec![4, 8], F16, 128),
        ];
        assert_eq!(cases, want);
        for row in &rows {
            assert_eq!(
                (&row.kernel[..], &row.mlx[..]),
                ("exp", &zmlx::mlx_version().unwrap()[..])
            );
            let names: Vec<_> = row.results.iter().map(|e| &e.name[..]).collect();
            assert_eq!(names, ["a", "fails", "b"]);
            let failure = row.results[1].time.as_ref().unwrap_err();
            assert!(failure.contains("reshape"), "{failure}");
            assert!(row.copy_gb_s.is_some_and(|v| v > 0.0));
            for i in [0, 2] {
                let time = row.results[i].time.as_ref().unwrap();
                assert!(time.median_us > 0.0 && time.min_us <= time.median_us);
                assert!(time.samples >= 3 && time.batch >= 1);
                assert!(row.share_of_copy(i).unwrap() > 0.0 && row.gb_s(i).unwrap() > 0.0);
            }
            assert_eq!(row.speedup_over(0), Some(1.0));
            assert_eq!(
                (row.us_of("fails"), row.gb_s(1), row.speedup_over(1)),
                (None, None, None)
            );
            assert_eq!(row.json_lines().lines().count(), 3);
        }
        let table = bench::table(&rows);
        assert_eq!(table.lines().count(), 2 + 2 * 4, "{table}");
    });
}

trait Us {
    fn us_of(&self, name: &str) -> Option<f64>;
}

impl Us for bench::Row {
    fn us_of(&self, name: &str) -> Option<f64> {
        self.results.iter().find(|e| e.name == name)?.us()
    }
}

#[test]
fn several_inputs_of_their_own_shapes_and_dtypes() {
    on_worker(|| {
        let seen = Cell::new(false);
        let rows = bench::compare_inputs([("take", &|[x, rows]| {
            assert_eq!((x.shape(), x.dtype()), (&[6, 4][..], F16));
            assert_eq!((rows.shape(), rows.dtype()), (&[9][..], U32));
            seen.set(true);
            x.take(rows, 0)
        })])
        .shapes([(6, 4)])
        .dtypes([F16])
        .input_shapes(|s| vec![s.to_vec(), vec![9]])
        .input(1, U32, Values::Integers(0, 6))
        .rotate(3)
        .settings(Settings::quick().batch(4))
        .run()
        .unwrap();
        assert!(seen.get());
        assert_eq!(rows[0].bytes, 2 * 24 + 4 * 9 + 2 * 36);
        assert_eq!(rows[0].results[0].time.as_ref().unwrap().batch, 4);

        let given = bench::compare([("a", &|x| x.abs())]).shapes([(3,)]);
        let given = given.bytes(|shape, dtype| shape[0] as usize * dtype.size() * 100);
        let rows = given.settings(Settings::quick()).run().unwrap();
        assert_eq!(rows[0].bytes, 1200);
    });
}

#[test]
fn rotation_goes_through_all_inputs() {
    on_worker(|| {
        let seen = std::cell::RefCell::new(std::collections::BTreeSet::new());
        bench::compare([("look", &|x| {
            seen.borrow_mut().insert(x.id());
            x.abs()
        })])
        .shapes([(64,)])
        .rotate(5)
        .settings(Settings::quick().batch(8))
        .run()
        .unwrap();
        assert_eq!(seen.borrow().len(), 5);
    });
}

#[test]
fn measure_counts_calls_and_keeps_errors() {
    on_worker(|| {
        let calls = Cell::new(0);
        let settings = Settings::quick().batch(2).time(Duration::ZERO);
        let results = bench::measure(
            &[
                ("counts", &|| {
                    calls.set(calls.get() + 1);
                    Ok(vec![Array::from(calls.get())])
                }),
                ("fails late", &|| match calls.get() {
                    0..6 => Ok(vec![Array::from(1.0)]),
                    _ => Err(Error::other("enough")),
                }),
            ],
            &settings,
        );
        let time = results[0].time.as_ref().unwrap();
        assert_eq!((time.samples, time.batch), (3, 2));
        // Twice alone, a warm batch, three samples.
        assert_eq!(calls.get(), 2 + 2 + 3 * 2);
        assert_eq!(results[1].name, "fails late");
        assert_eq!(results[1].time.as_ref().unwrap_err().to_string(), "enough");
        assert!(bench::measure(&[], &settings).is_empty());
    });
}

#[test]
fn copies_have_a_speed() {
    on_worker(|| {
        for bytes in [0, 100, 1 << 20] {
            assert!(bench::copy_bandwidth(bytes).unwrap() > 0.0);
        }
    });
}
