//! Random graphs on several streams and threads, beside an independent record.

use super::*;

/// Any graph, any order: what an independent record of the dependencies says.
#[test]
fn random_graphs_on_several_streams() {
    // Two threads at once.
    let threads = [(); 2].map(|()| std::thread::spawn(|| (0..3).for_each(|_| random_graph())));
    for thread in threads {
        thread.join().unwrap();
    }
}

fn random_graph() {
    let mut rng = common::Rng::new();
    let mut pick = move |n: usize| rng.next() as usize % n;
    let streams: Vec<Stream> = (0..3).map(|_| Stream::new(Device::CPU).unwrap()).collect();
    let two = |x: f32| Array::from_slice(&[x, 0.0, 0.0, 1.0], (2, 2)).unwrap();
    // The array, and its first element when it has a value.
    let mut nodes: Vec<(Array, Option<f32>)> = vec![(two(2.0), Some(2.0)), (two(0.5), Some(0.5))];
    let mut pending = Vec::new();
    for step in 0..150 {
        let (i, j) = (pick(nodes.len()), pick(nodes.len()));
        let ((a, x), (b, y)) = (nodes[i].clone(), nodes[j].clone());
        let node = with_stream(&streams[pick(3)], || match pick(8) {
            // A dependency on a failure that is known by now is an error at evaluation, not here.
            0 => (linalg::inv(&two(0.0)).unwrap(), None),
            1 => {
                let shift = linalg::inv(&two(4.0)).unwrap().add(&a).unwrap();
                (shift, x.map(|x| 0.25 + x))
            }
            2 | 3 => (a.minimum(&b).unwrap(), x.zip(y).map(|(x, y)| x.min(y))),
            4 | 5 => (a.multiply(0.5f32).unwrap(), x.map(|x| x * 0.5)),
            6 => (a.transpose(..).unwrap(), x),
            _ => (a.maximum(&b).unwrap(), x.zip(y).map(|(x, y)| x.max(y))),
        });
        nodes.push(node);
        if pick(4) == 0 {
            let chosen: Vec<usize> = (0..1 + pick(3)).map(|_| pick(nodes.len())).collect();
            let fine = chosen.iter().all(|&c| nodes[c].1.is_some());
            let arrays: Vec<&Array> = chosen.iter().map(|&c| &nodes[c].0).collect();
            match async_eval(&arrays) {
                Ok(handle) => pending.push((handle, fine)),
                Err(e) => assert!(!fine, "step {step}: {e}"),
            }
        }
        if pick(6) == 0 && !pending.is_empty() {
            let (handle, fine) = pending.swap_remove(pick(pending.len()));
            let result = handle.wait();
            assert_eq!(result.is_ok(), fine, "step {step}: {result:?}");
        }
    }
    for (handle, fine) in pending {
        assert_eq!(handle.wait().is_ok(), fine);
    }
    for (n, (a, value)) in nodes.iter().enumerate() {
        match value {
            Some(value) => assert_eq!(a.to_vec::<f32>().unwrap()[0], *value, "node {n}"),
            None => {
                assert!(a.to_vec::<f32>().is_err(), "node {n}");
                assert!(!a.is_ready().unwrap(), "node {n}");
            }
        }
    }
}
