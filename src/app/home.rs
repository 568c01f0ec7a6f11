//! Is this folder the one that was meant? A mistyped `--home` must not grow a second house with
//! shipped flags in it, which then answers as if nothing were wrong.

use std::io;
use std::path::Path;

use anyhow::Context as _;

use crate::seams::files::Files;

/// The daemon begins a home where the folder above it exists; a whole path that leads nowhere is a
/// mistake.
pub(super) fn must_exist_or_begin(files: &dyn Files, home: &Path) -> anyhow::Result<()> {
    let missing = files
        .stat(home)
        .is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    let above = home.parent().map(|above| {
        let is_here = above.as_os_str().is_empty();
        if is_here { Path::new(".") } else { above }
    });
    if missing && above.is_some_and(|above| files.stat(above).is_ok()) {
        files
            .create_dir_all(home)
            .with_context(|| format!("cannot make the folder `{}`", home.display()))?;
        tracing::info!(home = %home.display(), "there was no such home: made it");
    }
    must_exist(files, home)
}

/// A folder that can be read.
fn must_exist(files: &dyn Files, home: &Path) -> anyhow::Result<()> {
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
