//! Who decides when both sides changed an attribute, as an app in another language says it:
//! `{"default":"remote","fields":{"notes":"local"}}`, the names of [`Policies`] and of its words.
//!
//! A policy that is not understood must not be taken for the default one: it would decide other people's changes
//! otherwise than was meant. The app's own resolver is code, so it is for Rust alone.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::flow::{Policies, Policy};
use crate::resource::FieldId;

/// What an app says of policies when it opens a till.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Words {
    default: Word,
    fields: BTreeMap<Contestable, Word>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    #[default]
    Hold,
    Local,
    Remote,
    Latest,
}

/// An attribute that both sides can have changed.
#[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct Contestable(FieldId);

impl TryFrom<String> for Contestable {
    type Error = String;

    fn try_from(name: String) -> Result<Contestable, String> {
        let known = || FieldId::columns().filter(|field| field.is_editable());
        known().find(|field| field.name() == name).map(Contestable).ok_or_else(|| {
            let names: Vec<&str> = known().map(FieldId::name).collect();
            format!("no policy is asked about `{name}`, only about {}", names.join(", "))
        })
    }
}

impl From<Words> for Policies {
    fn from(words: Words) -> Policies {
        let fields = words.fields.into_iter().map(|(field, word)| (field.0, word.into()));
        Policies { default: words.default.into(), fields: fields.collect(), ..Policies::default() }
    }
}

impl From<Word> for Policy {
    fn from(word: Word) -> Policy {
        match word {
            Word::Hold => Policy::Hold,
            Word::Local => Policy::Local,
            Word::Remote => Policy::Remote,
            Word::Latest => Policy::Latest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Policies, String> {
        serde_json::from_str::<Words>(json).map(Policies::from).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_said_is_held() {
        let policies = read("{}").unwrap();
        assert_eq!((policies.default, policies.fields.len()), (Policy::Hold, 0));
        let policies = read(r#"{"fields":{"phone":"remote","channel_ids":"latest"}}"#).unwrap();
        let [phone, channels, email] = ["phone", "channel_ids", "email"].map(|f| FieldId::named(f).unwrap());
        assert_eq!(policies.of(phone), Policy::Remote);
        assert_eq!(policies.of(channels), Policy::Latest);
        assert_eq!(policies.of(email), Policy::Hold);
        assert_eq!(read(r#"{"default":"local"}"#).unwrap().of(email), Policy::Local);
    }

    #[test]
    fn what_is_not_understood_is_refused_with_what_would_be() {
        for word in ["resolver", "newest", "Remote", ""] {
            let said = read(&format!(r#"{{"default":"{word}"}}"#)).unwrap_err();
            assert!(said.contains("expected one of `hold`, `local`, `remote`, `latest`"), "{said}");
        }
        for field in ["phon", "date_modified", "new_password", "form_fields.size", "*", ""] {
            let said = read(&format!(r#"{{"fields":{{"{field}":"local"}}}}"#)).unwrap_err();
            assert!(
                said.contains("only about email, first_name, ") && said.contains("form_fields"),
                "{said}"
            );
        }
        for json in [r#"{"phone":"local"}"#, r#"{"default":1}"#, r#"{"fields":["phone"]}"#, r#""local""#] {
            assert!(read(json).is_err(), "{json}");
        }
    }
}
