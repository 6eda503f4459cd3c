//! What plugins say in answer to a call, without the values of secrets: a server may have told a plugin what the host sent to it.
//! Every answer passes here; those of plugins that reach nothing outside, made of what the caller handed over, pass as they are.

use super::{Draft, Explanation, Model, Problem, Receipt, Requirements, Scored, Secrets, Target, TargetPage, Verdicts};

/// An answer of a plugin.
pub(super) trait Said: Sized {
    /// The same, with `***` in the place of each secret.
    fn without_secrets(self, secrets: &Secrets) -> Self;
}

impl Said for String {
    fn without_secrets(self, secrets: &Secrets) -> Self {
        secrets.mask(self)
    }
}

impl Said for Verdicts {
    fn without_secrets(mut self, secrets: &Secrets) -> Self {
        self.notes = self.notes.into_iter().map(|(i, note)| (i, secrets.mask(note))).collect();
        self
    }
}

impl Said for Receipt {
    fn without_secrets(self, secrets: &Secrets) -> Self {
        let Self { remote_id, detail } = self;
        Self { remote_id: remote_id.map(|id| secrets.mask(id)), detail: secrets.mask(detail) }
    }
}

impl Said for TargetPage {
    fn without_secrets(mut self, secrets: &Secrets) -> Self {
        self.targets = self.targets.into_iter().map(|target| target.without_secrets(secrets)).collect();
        self
    }
}

impl Said for Target {
    fn without_secrets(self, secrets: &Secrets) -> Self {
        let Self { service_id, service_name, service_type, url, node_id, health, metadata } = self;
        let masked = |text| secrets.mask(text);
        Self {
            service_id: masked(service_id),
            service_name: masked(service_name),
            service_type: masked(service_type),
            url: masked(url),
            node_id: node_id.map(masked),
            health,
            metadata: metadata.into_iter().map(|(key, value)| (masked(key), masked(value))).collect(),
        }
    }
}

impl Said for Vec<Problem> {
    fn without_secrets(self, secrets: &Secrets) -> Self {
        self.into_iter().map(|problem| problem.map_text(|text| secrets.mask(text))).collect()
    }
}

/// Answers of plugins that reach nothing outside, made of what the caller handed over.
macro_rules! as_it_is {
    ($($answer:ty),*) => {
        $(impl Said for $answer {
            fn without_secrets(self, _: &Secrets) -> Self {
                self
            }
        })*
    };
}

as_it_is!(Requirements, Vec<Scored>, Vec<Explanation>, Model, Vec<f32>, Vec<String>, Draft);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::TargetHealth;

    #[test]
    fn whatever_a_target_and_a_receipt_say_is_without_secrets() {
        let secrets = Secrets::default();
        secrets.set("token", "a-secret-value");
        let text = || "a-secret-value".to_owned();
        let target = Target {
            service_id: text(),
            service_name: text(),
            service_type: text(),
            url: "http://x/?t=a-secret-value".to_owned(),
            node_id: Some(text()),
            health: TargetHealth::Unknown,
            metadata: [(text(), text())].into_iter().collect(),
        };
        let page = TargetPage { targets: vec![target], next: None };
        let told = format!("{:?}", page.without_secrets(&secrets));
        assert!(!told.contains("secret-value") && told.contains("http://x/?t=***"), "{told}");
        let receipt = Receipt { remote_id: Some(text()), detail: format!("sent {}", text()) }.without_secrets(&secrets);
        assert_eq!((receipt.remote_id.as_deref(), receipt.detail.as_str()), (Some("***"), "sent ***"));
        let problems = vec![Problem { pointer: text(), message: text() }].without_secrets(&secrets);
        assert_eq!((problems[0].pointer.as_str(), problems[0].message.as_str()), ("***", "***"));
    }
}
