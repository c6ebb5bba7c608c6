//! Where a coordinator answers: a text as users write it in, a checked URL out.

use std::{fmt, str::FromStr};

use tonic::transport::Uri;

/// A coordinator's URL, `http://HOST:PORT`, or `https://HOST:PORT` of one that asks for TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address(Uri);

/// Why a text is no coordinator's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// Not HTTP, or not a host and a port.
    #[error("coordinator {text:?} is no address, which looks like http://10.0.0.5:7878")]
    Form {
        /// What was given.
        text: String,
    },
}

// === impl Address ===

impl Address {
    /// Whether it is reached through TLS.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    /// The URL, for the connection.
    pub(crate) fn uri(&self) -> Uri {
        self.0.clone()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A URI with an empty path prints as "http://host:port/".
        f.write_str(self.0.to_string().trim_end_matches('/'))
    }
}

impl FromStr for Address {
    type Err = Error;

    /// Reads `http://HOST:PORT`, `https://HOST:PORT` or `HOST:PORT`, which means the first.
    fn from_str(text: &str) -> Result<Self, Error> {
        let form = || Error::Form { text: text.to_owned() };
        let full = match text.split_once("://") {
            None => format!("http://{text}"),
            Some(("http" | "https", _)) => text.to_owned(),
            Some(_) => return Err(form()),
        };
        let uri: Uri = full.parse().map_err(|_| form())?;
        let named = uri.host().is_some_and(|host| !host.is_empty());
        let plain = matches!(uri.path_and_query().map_or("/", |rest| rest.as_str()), "/" | "");
        if !named || !plain || uri.port_u16().is_none() {
            return Err(form());
        }
        Ok(Self(uri))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_suffice() {
        for text in ["10.0.0.5:7878", "http://10.0.0.5:7878", "http://10.0.0.5:7878/"] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), "http://10.0.0.5:7878");
            assert!(!address.is_encrypted());
        }
        assert!("https://10.0.0.5:7878".parse::<Address>().unwrap().is_encrypted());
        assert_eq!("[::1]:7878".parse::<Address>().unwrap().to_string(), "http://[::1]:7878");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "host", "http://host", "ftp://host:1", "host:99999", "http://host:1/path", "a b:1"] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains("is no address"), "{text:?} gave {error}");
        }
    }
}
