//! The text of the file of results.
//!
//! ```json
//! {
//!   "format": "zmlx autotune", "version": 1,
//!   "devices": {
//!     "cpu AMD EPYC, x86_64, 2 threads, mlx 0.32.4, zmlx 0.1.0": {
//!       "copy_bytes_per_second": 2.2e10,
//!       "results": {
//!         "<kernel key> <candidates> x:float32[8,1024] ...": {
//!           "threadgroup": [1, 1, 1], "template": {"VEC": 64},
//!           "seconds": 1e-5, "default_seconds": 2e-5
//!         }
//!       }
//!     }
//!   }
//! }
//! ```

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::Dtype;
use crate::metal::TemplateArg;

use super::candidate::Candidate;

/// What the file says it is.
const FORMAT: &str = "zmlx autotune";
/// Changes when older programs could not read the file any more; it is also in the file's name.
const VERSION: u64 = 1;

/// Results by device.
pub(super) type Devices = BTreeMap<String, Results>;

/// What is known of one device.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Results {
    /// Bytes a second, read and written.
    pub(super) copy: Option<f64>,
    pub(super) entries: BTreeMap<String, Entry>,
}

/// One result.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) candidate: Candidate,
    pub(super) seconds: f64,
    pub(super) default_seconds: f64,
}

/// Adds what `from` knows and `to` does not.
pub(super) fn merge(to: &mut Devices, from: &Devices) {
    for (device, results) in from {
        let to = to.entry(device.clone()).or_default();
        to.copy = to.copy.or(results.copy);
        for (key, entry) in &results.entries {
            to.entries
                .entry(key.clone())
                .or_insert_with(|| entry.clone());
        }
    }
}

pub(super) fn to_text(devices: &Devices) -> String {
    let devices: Map<String, Value> = devices
        .iter()
        .map(|(device, results)| {
            let entries: Map<String, Value> = results
                .entries
                .iter()
                .map(|(key, entry)| (key.clone(), entry_value(entry)))
                .collect();
            let value = json!({"copy_bytes_per_second": results.copy, "results": entries});
            (device.clone(), value)
        })
        .collect();
    let all = json!({"format": FORMAT, "version": VERSION, "devices": devices});
    format!("{all:#}\n")
}

fn entry_value(entry: &Entry) -> Value {
    let constant = |(name, value): &(String, TemplateArg)| {
        let value = match *value {
            TemplateArg::Int(n) => n.into(),
            TemplateArg::TooLarge(n) => n.to_string().into(),
            TemplateArg::Bool(b) => b.into(),
            TemplateArg::Dtype(d) => d.name().into(),
        };
        (name.clone(), value)
    };
    let template: Map<String, Value> = entry.candidate.template.iter().map(constant).collect();
    json!({
        "threadgroup": entry.candidate.threadgroup,
        "template": template,
        "seconds": entry.seconds,
        "default_seconds": entry.default_seconds,
    })
}

/// The results in a file's text, or why there are none. A single result that makes no sense is
/// left out.
pub(super) fn from_text(text: &[u8]) -> Result<Devices, String> {
    let all: Value = serde_json::from_slice(text).map_err(|e| format!("it is damaged ({e})"))?;
    if all["format"] != FORMAT {
        return Err("it holds no results of tuning".to_owned());
    }
    if all["version"] != VERSION {
        let version = &all["version"];
        return Err(format!("expected version {VERSION}, got {version}"));
    }
    let Some(devices) = all["devices"].as_object() else {
        return Err("it is damaged (no devices)".to_owned());
    };
    let mut read = Devices::default();
    for (device, value) in devices {
        let results = read.entry(device.clone()).or_default();
        results.copy = value["copy_bytes_per_second"].as_f64().filter(|&c| c > 0.0);
        for (key, value) in value["results"].as_object().into_iter().flatten() {
            if let Some(entry) = entry(value) {
                results.entries.insert(key.clone(), entry);
            }
        }
    }
    Ok(read)
}

fn entry(value: &Value) -> Option<Entry> {
    let sizes = value["threadgroup"].as_array()?;
    let sizes: Option<Vec<i64>> = sizes.iter().map(Value::as_i64).collect();
    let mut template = Vec::new();
    for (name, value) in value["template"].as_object()? {
        let value = match value {
            Value::Bool(b) => TemplateArg::Bool(*b),
            Value::Number(n) => TemplateArg::Int(n.as_i64()?.try_into().ok()?),
            Value::String(s) => TemplateArg::Dtype(Dtype::from_name(s)?),
            _ => return None,
        };
        template.push((name.clone(), value));
    }
    Some(Entry {
        candidate: Candidate {
            threadgroup: sizes?.try_into().ok()?,
            template,
        },
        seconds: value["seconds"].as_f64()?,
        default_seconds: value["default_seconds"].as_f64()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices() -> Devices {
        let entry = Entry {
            candidate: Candidate {
                threadgroup: [32, 4, 2],
                template: vec![
                    ("A".into(), true.into()),
                    ("B".into(), Dtype::Bfloat16.into()),
                    ("C".into(), 7.into()),
                ],
            },
            seconds: 1.25e-5,
            default_seconds: 0.1 + 0.2,
        };
        let results = Results {
            copy: Some(2.2e10),
            entries: [("k \"quoted\" [1,2]".to_owned(), entry)].into(),
        };
        [("a device".to_owned(), results)].into()
    }

    #[test]
    fn what_is_written_is_read() {
        let text = to_text(&devices());
        assert_eq!(from_text(text.as_bytes()).unwrap(), devices());
    }

    #[test]
    fn half_a_file_and_another_version_are_refused() {
        let text = to_text(&devices());
        for end in 0..text.len() - 2 {
            assert!(from_text(&text.as_bytes()[..end]).is_err(), "{end}");
        }
        let old = text.replace("\"version\": 1", "\"version\": 0");
        let problem = from_text(old.as_bytes()).unwrap_err();
        assert_eq!(problem, "expected version 1, got 0");
        assert!(from_text(b"{\"version\": 1}").is_err());
        assert!(from_text(b"[1, 2]").is_err());
    }

    #[test]
    fn a_result_that_makes_no_sense_is_left_out() {
        let mut all: Value = serde_json::from_str(&to_text(&devices())).unwrap();
        let results = all["devices"]["a device"]["results"]
            .as_object_mut()
            .unwrap();
        results.insert("short".into(), json!({"threadgroup": [1]}));
        results.insert("text".into(), "no result".into());
        let read = from_text(all.to_string().as_bytes()).unwrap();
        assert_eq!(read, devices());
    }

    #[test]
    fn a_merge_keeps_both() {
        let mut ours = Devices::default();
        merge(&mut ours, &devices());
        assert_eq!(ours, devices());
        let mut other = devices();
        other.get_mut("a device").unwrap().copy = Some(1.0);
        merge(&mut ours, &other);
        assert_eq!(ours, devices());
    }
}
