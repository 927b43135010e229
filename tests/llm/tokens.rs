//! Texts to tokens and back, and the files that describe models.

use std::fs;

use zmlx::llm::{self, ChatTemplate, Config, Limits, Message, Stretch};

use crate::common::on_worker;
use crate::{tiny, tiny_model};

#[test]
fn texts_come_back() {
    on_worker(|| {
        let language = tiny_model("llama", Limits::default())
            .expect("a model")
            .language()
            .clone();
        let tokenizer = &language.tokenizer;
        for text in [
            "",
            "the thin cat, in the 12 hats!",
            "  \n\n\tß 🙂 \u{0}",
            "<|im_end|",
        ] {
            let tokens = tokenizer.encode(text, true).expect("tokens");
            assert_eq!(tokenizer.decode(&tokens), text);
        }
        let number = |t: &str| tiny::tokens().iter().position(|x| x == t).expect("there") as u32;
        // Pairs are merged in the order of the list; digits stand alone.
        let want = ["the", "Ġthe", "1", "2"].map(number);
        assert_eq!(tokenizer.encode("the the12", false).expect("tokens"), want);
        // Special tokens are found in texts, and are no text.
        let marked = tokenizer.encode("<|im_start|>a", false).expect("tokens");
        assert_eq!(marked, [1, number("a")]);
        assert_eq!(tokenizer.decode(&marked), "a");
        assert_eq!(tokenizer.ends(), [0, 2]);
    });
}

#[test]
fn conversations_follow_the_template() {
    on_worker(|| {
        let model = tiny_model("llama", Limits::default()).expect("a model");
        let language = model.language();
        let messages = [Message::new("user", "hi"), Message::new("assistant", "the")];
        let tokens = language.chat_tokens(&messages).expect("tokens");
        let text = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nthe<|im_end|>\n<|im_start|>assistant\n";
        assert_eq!(
            tokens,
            language.tokenizer.encode(text, true).expect("tokens")
        );
        let refusing = llm::ChatTemplate::new(
            "{{ raise_exception('no ' + messages[0].role.strip()) }}",
            "",
            "",
        );
        let refused = refusing
            .expect("a template")
            .render(&[Message::new(" x ", "")])
            .unwrap_err();
        assert!(refused.to_string().contains("no x"), "{refused}");
    });
}

/// The same numbers in the words of transformers' files.
#[test]
fn configurations_are_read() {
    let json = r#"{"model_type": "llama", "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 3,
        "intermediate_size": 96, "vocab_size": 100, "rms_norm_eps": 1e-6, "rope_theta": 5e5, "max_position_embeddings": 4096,
        "rope_scaling": {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192}}"#;
    let config = Config::from_json(json).expect("a configuration");
    assert_eq!(
        (
            config.head_width,
            config.kv_heads,
            config.layers,
            config.rope_neighbours
        ),
        (16, 2, 3, false)
    );
    assert_eq!(
        config.rope_stretch,
        Stretch::Llama3 {
            factor: 32.0,
            low: 1.0,
            high: 4.0,
            context: 8192.0
        }
    );
    let gemma = r#"{"model_type": "gemma3_text", "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 32,
        "num_hidden_layers": 12, "intermediate_size": 96, "vocab_size": 100, "sliding_window": 8, "rope_theta": 1e6,
        "rope_local_base_freq": 1e4, "query_pre_attn_scalar": 64}"#;
    let config = Config::from_json(gemma).expect("a configuration");
    let windows: Vec<_> = (4..8).map(|l| config.window_of(l)).collect();
    assert_eq!(windows, [Some(8), None, Some(8), Some(8)]);
    assert_eq!(
        (
            config.attention_scale,
            config.embedding_scale,
            config.norm_adds_one
        ),
        (0.125, 8.0, true)
    );
    for (wrong, says) in [
        ("{", "config.json"),
        (r#"{"model_type": "bert"}"#, "`bert`"),
        (r#"{"model_type": "llama"}"#, "`hidden_size`"),
        (
            &json.replace("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3"),
            "3 heads",
        ),
        (
            &json.replace("\"num_attention_heads\": 4", "\"num_attention_heads\": 5"),
            "5 heads",
        ),
        (&json.replace("llama3", "yarn"), "`yarn`"),
    ] {
        let refused = Config::from_json(wrong).unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
    }
}

#[test]
fn what_is_no_model_is_refused() {
    on_worker(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let empty = llm::load(folder.path()).unwrap_err().to_string();
        assert!(empty.contains("config.json"), "{empty}");
        let missing = llm::load(folder.path().join("none.gguf"))
            .unwrap_err()
            .to_string();
        assert!(missing.contains("none.gguf"), "{missing}");
        let path = folder.path().join("tiny.gguf");
        tiny::write(&path, "llama", || 0.5).expect("written");
        let mut file = zmlx::io::load_gguf(&path).expect("read");
        file.arrays.remove("blk.1.ffn_up.weight");
        zmlx::io::save_gguf(&path, &file).expect("written");
        let refused = llm::load(&path).unwrap_err().to_string();
        assert!(refused.contains("blk.1.ffn_up.weight"), "{refused}");
        let bytes = fs::read(&path).expect("read");
        fs::write(&path, &bytes[..bytes.len() / 2]).expect("written");
        assert!(llm::load(&path).is_err());
    });
}

/// A template that counts for long is stopped.
#[test]
fn templates_do_not_run_for_ever() {
    let many = "{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}";
    let template = ChatTemplate::new(many, "", "").expect("a template");
    let refused = template.render(&[Message::new("user", "hi")]).unwrap_err();
    assert!(
        matches!(refused, zmlx::Error::Argument { .. }),
        "{refused:?}"
    );
    let refused = refused.to_string();
    assert!(
        refused.contains("`messages`") && refused.contains("steps"),
        "{refused}"
    );
    // Long conversations are not stopped: each message may take its steps.
    let each = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + ' ' }}{% endfor %}";
    let template = ChatTemplate::new(each, "", "").expect("a template");
    let long = vec![Message::new("user", "hi"); 50_000];
    let text = template.render(&long).expect("a text");
    assert_eq!(text.len(), 50_000 * "user: hi ".len());
}
