//! The key of an encrypted file: what it may be, and where it comes from. How it opens a file stands in `store::unlock`.
//!
//! A key is held in a [`SecretString`], which is wiped when it is dropped and shows nothing of itself. No error quotes it,
//! not even one that says what is wrong with it.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, Failure, Result};

/// Of a raw key.
const BYTES: usize = 32;

/// The key of an encrypted file: a passphrase, or 32 bytes. Never shown, logged or written anywhere.
///
/// As text, `x'…'` with 64 hexadecimal digits is a raw key; anything else is a passphrase, which SQLCipher stretches to a
/// key by 256,000 rounds of PBKDF2 each time that a file is opened.
///
/// ```
/// # fn main() -> tillsync::Result<()> {
/// use tillsync::Key;
///
/// let passphrase = Key::passphrase("correct horse battery staple")?;
/// assert!(!format!("{passphrase:?}").contains("horse"));
/// assert_eq!(Key::passphrase("").unwrap_err().code(), "key");
/// assert_eq!(Key::parse("x'c0ffee'").unwrap_err().to_string(), "the key has the form x'…' of a raw key, but not 64 hexadecimal digits");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Key(SecretString);

impl Key {
    /// A passphrase.
    ///
    /// # Errors
    /// When it is empty, holds a NUL character, or has the form `x'…'` of a raw key.
    pub fn passphrase(passphrase: impl Into<SecretString>) -> Result<Key> {
        let passphrase = passphrase.into();
        let text = passphrase.expose_secret();
        if text.is_empty() {
            return Err(unusable("the key is empty"));
        }
        if text.contains('\0') {
            return Err(unusable("the key holds a NUL character, and a passphrase may not"));
        }
        if hex(text.trim()).is_some() {
            return Err(unusable("a passphrase may not have the form x'…' of a raw key"));
        }
        Ok(Key(passphrase))
    }

    /// 32 bytes that nobody can guess, from a generator of random numbers for this use. Opening a file costs no
    /// stretching then.
    pub fn raw(bytes: &[u8; BYTES]) -> Key {
        use std::fmt::Write;
        let mut text = String::with_capacity(2 * BYTES + 3);
        text.push_str("x'");
        for byte in bytes {
            // Writing to a string does not fail.
            _ = write!(text, "{byte:02x}");
        }
        text.push('\'');
        Key(text.into())
    }

    /// A key as text: `x'…'` with 64 hexadecimal digits is a raw key, anything else a passphrase. A line break at its end
    /// does not count: tools that keep keys add one.
    ///
    /// # Errors
    /// When it is empty, holds a NUL character, or is `x'…'` with something else in it.
    pub fn parse(text: impl Into<SecretString>) -> Result<Key> {
        let mut text: SecretString = text.into();
        if let Some(line) = text.expose_secret().strip_suffix('\n') {
            text = line.strip_suffix('\r').unwrap_or(line).into();
        }
        match hex(text.expose_secret()) {
            None => Key::passphrase(text),
            Some(digits) if digits.len() == 2 * BYTES && digits.bytes().all(|d| d.is_ascii_hexdigit()) => {
                Ok(Key(text))
            }
            Some(_) => Err(unusable("the key has the form x'…' of a raw key, but not 64 hexadecimal digits")),
        }
    }

    /// The key in an environment variable, read as [`Key::parse`] does.
    ///
    /// # Errors
    /// When there is no such variable, it is no text, or no key.
    pub fn from_env(name: &str) -> Result<Key> {
        match std::env::var(name) {
            Ok(text) => Key::parse(text).map_err(|e| e.of(&format!("the environment variable {name}"))),
            Err(std::env::VarError::NotPresent) => {
                Err(unusable(format!("the environment has no {name} with a key")))
            }
            // The error quotes what it found.
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(unusable(format!("the key in the environment variable {name} is not UTF-8")))
            }
        }
    }

    /// The key in a file, which holds nothing else. Read as [`Key::parse`] does.
    ///
    /// # Errors
    /// When the file cannot be read, is no text, or no key.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Key> {
        let path = path.as_ref();
        let of = format!("the key file {}", path.display());
        let text = std::fs::read_to_string(path).map_err(|e| unusable(format!("{of}: {e}")))?;
        // An editor of Windows may begin a file with a mark of its encoding, which is nobody's key.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        Key::parse(text).map_err(|e| e.of(&of))
    }

    /// The key in the operating system's keyring: Keychain, Windows Credential Manager, or the Secret Service of a Linux
    /// desktop. Read as [`Key::parse`] does. Needs the feature `keyring`.
    ///
    /// # Errors
    /// When there is no keyring, it is locked, has no such entry, or the entry is no key.
    #[cfg(feature = "keyring")]
    pub fn from_keyring(service: &str, user: &str) -> Result<Key> {
        let of = format!("the keyring's entry {service}/{user}");
        match keyring::Entry::new(service, user).and_then(|entry| entry.get_password()) {
            Ok(text) => Key::parse(text).map_err(|e| e.of(&of)),
            Err(keyring::Error::NoEntry) => {
                Err(unusable(format!("the keyring has no entry {service}/{user}")))
            }
            // The error holds what it found.
            Err(keyring::Error::BadEncoding(_)) => Err(unusable(format!("{of}: is not UTF-8"))),
            Err(e) => Err(Failure::Keyring(e.to_string()).into()),
        }
    }

    /// Not in this build: it was made without the feature `keyring`.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(feature = "keyring"))]
    pub fn from_keyring(_service: &str, _user: &str) -> Result<Key> {
        Err(Failure::NotBuiltIn { what: "keys from the keyring", feature: "keyring" }.into())
    }

    /// The key as SQLCipher takes it.
    pub(crate) fn text(&self) -> &str {
        self.0.expose_secret()
    }

    /// The statement that hands the key to SQLCipher. Keys cannot be bound as parameters.
    pub(crate) fn statement(&self, pragma: &str) -> SecretString {
        let quoted = SecretString::from(self.0.expose_secret().replace('\'', "''"));
        format!("PRAGMA {pragma} = '{}'", quoted.expose_secret()).into()
    }
}

/// What stands between `x'` and `'`.
fn hex(text: &str) -> Option<&str> {
    text.strip_prefix(['x', 'X'])?.strip_prefix('\'')?.strip_suffix('\'')
}

fn unusable(words: impl Into<String>) -> Error {
    Failure::Key(words.into()).into()
}

impl Error {
    /// Where a key that cannot be used came from.
    fn of(self, source: &str) -> Error {
        unusable(format!("{source}: {self}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_key_is_told_from_what_may_not_without_quoting_it() {
        let wrong = |text: &str| Key::parse(text).unwrap_err().to_string();
        let digits = "0f".repeat(BYTES);
        assert!(Key::parse(format!("x'{digits}'")).is_ok() && Key::parse(format!("X'{digits}'")).is_ok());
        for text in
            ["", "nul\0nul", "x'hunter2'", &format!("x'{digits}00'"), &format!("x'{}zz'", &digits[2..])]
        {
            let words = wrong(text);
            assert!(text.is_empty() || !words.contains(text), "{words}");
        }
        assert!(Key::passphrase(format!("x'{digits}'")).is_err());
        assert!(Key::parse(format!("x'{digits}'\n")).is_ok(), "a raw key all the same, and no passphrase");
        assert!(Key::parse(format!(" x'{digits}'")).is_err());
        // 64 digits alone are a passphrase like any other, as SQLCipher takes them.
        assert!(Key::parse(digits).is_ok());
    }

    #[test]
    fn a_key_is_quoted_for_sql_and_shows_nothing_of_itself() {
        let key = Key::passphrase("o'neill; --").unwrap();
        assert_eq!(key.statement("key").expose_secret(), "PRAGMA key = 'o''neill; --'");
        assert!(!format!("{key:?}").contains("neill"));
        let raw = Key::raw(&[0xab; BYTES]);
        assert_eq!(
            raw.statement("rekey").expose_secret(),
            format!("PRAGMA rekey = 'x''{}'''", "ab".repeat(BYTES))
        );
    }

    #[test]
    fn a_key_file_is_its_text_without_the_line_break() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            Key::from_file(&path).map(|key| key.0.expose_secret().to_owned())
        };
        for bytes in [&b"two words"[..], b"two words\n", b"two words\r\n", b"\xef\xbb\xbftwo words\r\n"] {
            assert_eq!(read(bytes).unwrap(), "two words");
        }
        assert_eq!(read(b" two \n\n").unwrap(), " two \n");
        for bytes in [&b""[..], b"\n", b"\xff\xfes\0e\0c\0r\0e\0t\0"] {
            let error = read(bytes).unwrap_err();
            assert_eq!((error.code(), error.is_usage()), ("key", true), "{error}");
            assert!(error.to_string().contains("key") && !error.to_string().contains("secret"), "{error}");
        }
        assert!(Key::from_file(folder.path().join("none")).unwrap_err().to_string().contains("none"));
    }
}
