//! The mail that a server wrote into its folder.

use super::server::TestServer;
use portcullis::accounts::letters;
use portcullis::mail::worker;

/// One message.
#[derive(Debug, Clone)]
pub struct Mail {
    /// To whom.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// The whole, soft line breaks undone.
    pub text: String,
}

impl Mail {
    fn parse(text: &str) -> Self {
        let text = text.replace("=\r\n", "").replace("=3D", "=");
        let header = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim().to_owned()
        };
        Self { to: header("To:"), subject: header("Subject:"), text }
    }

    /// The token in it.
    #[track_caller]
    pub fn token(&self) -> String {
        let start = self.text.find("pce_").expect("a token in the message");
        self.text[start..start + 47].to_owned()
    }
}

impl TestServer {
    /// Has the worker send what is due, and takes all messages out of the folder, oldest first.
    pub async fn mail(&self) -> Vec<Mail> {
        worker::deliver_due(&self.app, letters::resolve).await.unwrap();
        let Ok(entries) = std::fs::read_dir(self.folder().join("mail")) else { return Vec::new() };
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let read = |path: &std::path::PathBuf| {
            let mail = Mail::parse(&std::fs::read_to_string(path).unwrap());
            std::fs::remove_file(path).unwrap();
            mail
        };
        paths.iter().map(read).collect()
    }

    /// The one message to `to` whose subject ends with `subject`, among those that are due; all are taken.
    #[track_caller]
    pub fn one_mail(&self, to: &str, subject: &str) -> impl Future<Output = Mail> {
        let (to, subject) = (to.to_owned(), subject.to_owned());
        async move {
            let all = self.mail().await;
            let mut found: Vec<_> =
                all.iter().filter(|mail| mail.to == to && mail.subject.ends_with(&subject)).collect();
            assert_eq!(found.len(), 1, "{subject} to {to}: {:?}", subjects(&all));
            found.remove(0).clone()
        }
    }
}

/// Recipients and subjects, to compare.
pub fn subjects(mails: &[Mail]) -> Vec<(String, String)> {
    let what = |mail: &Mail| {
        let subject = mail.subject.rsplit(": ").next().unwrap().to_owned();
        (mail.to.clone(), subject)
    };
    mails.iter().map(what).collect()
}
