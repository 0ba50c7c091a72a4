//! Who decides when both sides changed an attribute, as a flag says it: `--policy remote`, `--policy notes=local`.

use std::str::FromStr;

use tillsync::{FieldId, Policies, Policy};

/// A policy for all attributes, or for one.
#[derive(Clone, Copy, Debug)]
pub(super) struct PolicyFlag {
    field: Option<FieldId>,
    policy: Policy,
}

impl FromStr for PolicyFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<PolicyFlag, String> {
        match text.split_once('=') {
            None => Ok(PolicyFlag { field: None, policy: policy(text)? }),
            Some((field, word)) => Ok(PolicyFlag { field: Some(contestable(field)?), policy: policy(word)? }),
        }
    }
}

/// A policy that is not understood must not be taken for the default one.
fn policy(word: &str) -> Result<Policy, String> {
    let known = [Policy::Hold, Policy::Local, Policy::Remote, Policy::Latest];
    let named = known.into_iter().find(|policy| policy.as_str() == word);
    named.ok_or_else(|| "a policy is one of hold, local, remote, latest".to_owned())
}

/// An attribute that both sides can have changed.
fn contestable(name: &str) -> Result<FieldId, String> {
    let known = || FieldId::columns().filter(|field| field.is_editable());
    known().find(|field| field.name() == name).ok_or_else(|| {
        let names: Vec<&str> = known().map(FieldId::name).collect();
        format!("no policy is asked about that attribute, only about {}", names.join(", "))
    })
}

/// What was not said is held.
pub(super) fn policies(flags: &[PolicyFlag]) -> Policies {
    let mut policies = Policies::default();
    for flag in flags {
        match flag.field {
            None => policies.default = flag.policy,
            Some(field) => _ = policies.fields.insert(field, flag.policy),
        }
    }
    policies
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_held_and_what_is_not_understood_is_refused() {
        let [phone, notes] = ["phone", "notes"].map(|name| FieldId::named(name).unwrap());
        let flags = ["remote", "notes=local"].map(|text| text.parse().unwrap());
        assert_eq!((policies(&flags).of(phone), policies(&flags).of(notes)), (Policy::Remote, Policy::Local));
        assert_eq!(policies(&[]).of(phone), Policy::Hold);
        for text in [
            "",
            "newest",
            "resolver",
            "phon=local",
            "phone=",
            "date_modified=local",
            "form_fields.size=local",
        ] {
            assert!(text.parse::<PolicyFlag>().is_err(), "{text}");
        }
    }
}
