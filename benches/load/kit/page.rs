//! A page of which a part is written by a program, and the rest by people.

use std::{fs, path::Path};

use super::Failure;

/// Puts `measured` into the part of this name. What people wrote stays.
pub(crate) fn write(page: &Path, name: &str, measured: &str) -> Result<(), Failure> {
    let text = fs::read_to_string(page).unwrap_or_else(|_| "# Performance\n\n".to_owned());
    fs::write(page, put_into(&text, name, measured))?;
    Ok(())
}

fn put_into(text: &str, name: &str, measured: &str) -> String {
    let begin = format!("<!-- {name} writes what is between this line and the next such -->");
    let end = format!("<!-- {name}: end -->");
    let place = text.split_once(&begin);
    let place = place.and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    let (before, after) = place.unwrap_or((text, "\n"));
    format!("{before}{begin}\n\n{}\n\n{end}{after}", measured.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_and_other_programs_wrote_stays() {
        let once = put_into("# Title\n\nText.\n", "a", "first");
        let both = put_into(&once, "b", "of b") + "After.\n";
        let twice = put_into(&both.replace("Text.", "Better text."), "a", "second\n");
        assert!(twice.starts_with("# Title\n\nBetter text.\n"), "{twice}");
        assert!(twice.ends_with("After.\n"), "{twice}");
        assert!(!twice.contains("first"), "{twice}");
        assert!(twice.contains("of b"), "{twice}");
        assert_eq!(put_into(&twice, "a", "second"), twice);
    }
}
