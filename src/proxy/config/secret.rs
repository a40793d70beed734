//! The admin token: from a flag, a variable, or a file that one of them names. Whatever is wrong
//! with it, it is not repeated; and a variable that is there and empty is no token left out, but
//! one that was lost on the way.

use std::{ffi::OsString, fs};

use super::{Misuse, variables::Variables};
use crate::proxy::access::Token;

/// A token, or a file that holds one, each with the name of what gave it.
struct Given<'a> {
    token: (&'a str, Option<OsString>),
    file: (&'a str, Option<OsString>),
}

pub(super) fn token(
    token: Option<String>,
    file: Option<String>,
    env: &Variables<'_>,
) -> Result<Option<Token>, Misuse> {
    let flags = Given {
        token: ("--admin-token", token.map(OsString::from)),
        file: ("--admin-token-file", file.map(OsString::from)),
    };
    let variable = |name| (name, (env.0)(name));
    let variables = Given {
        token: variable("ADMIN_TOKEN"),
        file: variable("ADMIN_TOKEN_FILE"),
    };
    match flags.read()? {
        Some(token) => Ok(Some(token)),
        None => variables.read(),
    }
}

impl Given<'_> {
    fn read(self) -> Result<Option<Token>, Misuse> {
        let ((name, token), (file_name, file)) = (self.token, self.file);
        let refused =
            |what: &str, accepted| Misuse(format!("{what} is not accepted: it takes {accepted}."));
        match (token, file) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(Misuse(format!(
                "{name} and {file_name} are both given: one of them is enough."
            ))),
            (Some(token), None) => {
                let token = Token::parse(&token.to_string_lossy());
                token.map(Some).map_err(|accepted| refused(name, accepted))
            }
            (None, Some(file)) => {
                let text = fs::read_to_string(&file).map_err(|error| {
                    let file = file.display();
                    Misuse(format!("{file_name}: {file:?} cannot be read: {error}."))
                })?;
                let what = format!("The token in {:?}", file.display());
                let token = Token::parse(text.trim());
                token.map(Some).map_err(|accepted| refused(&what, accepted))
            }
        }
    }
}
