//! Is this folder the one that was meant? A mistyped `--home` must not grow a second house with
//! shipped flags in it, which then answers as if nothing were wrong.

use std::io;
use std::path::Path;

use crate::seams::files::Files;

/// The daemon fills an empty folder, but makes none.
pub(super) fn must_exist(files: &dyn Files, home: &Path) -> anyhow::Result<()> {
    let shown = home.display();
    match files.stat(home).and_then(|_| files.list(home)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => anyhow::bail!(
            "there is no folder `{shown}`\n\
             hint: `mkdir -p {shown}` makes it; or is `--home` mistyped?"
        ),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => anyhow::bail!(
            "`{shown}` is not a folder\n\
             hint: `--home` names the folder that holds `configs/` and `logs/`"
        ),
        Err(error) => Err(anyhow::Error::new(error).context(format!(
            "cannot read `{shown}`\n\
             hint: it must belong to the user that runs echopilot: see `ls -ld {shown}`, or run \
             as that user"
        ))),
    }
}

/// A verb that works on the files themselves needs a home that a daemon, or a person, began.
pub(super) fn must_be_ours(files: &dyn Files, home: &Path) -> anyhow::Result<()> {
    must_exist(files, home)?;
    let shown = home.display();
    let begun = ["configs", "logs"]
        .iter()
        .any(|folder| files.stat(&home.join(folder)).is_ok());
    anyhow::ensure!(
        begun,
        "`{shown}` has no `configs/`, so it is no home of echopilot\n\
         hint: `--home` or ECHOPILOT_HOME names another; `echopilot serve --home {shown}` begins \
         one there"
    );
    Ok(())
}
