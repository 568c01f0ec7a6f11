//! `echopilot schema`: the JSON Schemas of the configuration files, for editors.

use std::path::Path;

use serde_json::{Map, Value};

use super::args::SchemaArgs;
use super::failure::{DONE, Failure, Outcome};
use super::output::Output;
use crate::app::schema_files;
use crate::base::names;
use crate::platform::config::{ConfigKind, schemas};
use crate::seams::files::Files;

/// Prints the schemas of `kinds`, or writes them below `home`.
pub(super) fn run(
    args: &SchemaArgs,
    home: &Path,
    kinds: &[ConfigKind],
    files: &dyn Files,
    output: &mut Output,
) -> Outcome {
    let wanted: Vec<ConfigKind> = match &args.file {
        None => kinds.to_vec(),
        Some(file) => {
            let known = || kinds.iter().map(|kind| kind.file);
            let kind = kinds.iter().find(|kind| kind.file == file).ok_or_else(|| {
                let failure = Failure::new(format!("no configuration is called `{file}`"));
                match names::nearest(file, known()) {
                    Some(near) => failure.hint(format!("did you mean `{near}`?")),
                    None => failure.hint(format!(
                        "there are: {}",
                        known().collect::<Vec<_>>().join(", ")
                    )),
                }
            })?;
            vec![*kind]
        }
    };
    let texts = schemas(&wanted);
    if args.write {
        return write(&texts, &home.join("configs").join("schema"), files, output);
    }
    if let ([(_, text)], Some(_)) = (texts.as_slice(), &args.file) {
        output.raw(text.as_bytes())?;
        return Ok(DONE);
    }
    let all: Map<String, Value> = texts
        .into_iter()
        .map(|(name, text)| (name, serde_json::from_str(&text).unwrap_or_default()))
        .collect();
    output.value(&Value::Object(all))?;
    Ok(DONE)
}

fn write(
    texts: &[(String, String)],
    folder: &Path,
    files: &dyn Files,
    output: &mut Output,
) -> Outcome {
    files
        .create_dir_all(folder)
        .map_err(|error| Failure::new(format!("cannot make `{}`: {error}", folder.display())))?;
    for (name, text) in texts {
        let path = folder.join(name);
        schema_files::replace(files, &path, text)
            .map_err(|error| Failure::new(format!("cannot write `{}`: {error}", path.display())))?;
        output.line(&path.display().to_string())?;
    }
    Ok(DONE)
}
