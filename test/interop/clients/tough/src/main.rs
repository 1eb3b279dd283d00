//! tough behind the driver protocol of `clients.ts`.
//!
//! `tough-driver --root FILE --metadata-url URL --targets-url URL --state DIR --out DIR (refresh | download NAME...)`
//!
//! There is no `--time`: tough always reads the system's clock.
//!
//! One setting is not the default: tough 0.24 sleeps its first backoff (100 ms) before every request, the first try
//! included, and it reads every role, so 256 bins would take half a minute a run.

use serde_json::{json, Value};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tough::{HttpTransportBuilder, Prefix, Repository, RepositoryLoader, TargetName};
use url::Url;

/// An error with its causes, outermost first.
fn explain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text += &format!(": {inner}");
        cause = inner.source();
    }
    text
}

/// Loads the repository over the kept state; tough reads every delegated role here.
async fn open(options: &HashMap<String, String>) -> Result<Repository, Box<dyn Error>> {
    if options.contains_key("time") {
        return Err("tough cannot be given a time".into());
    }
    fs::create_dir_all(&options["state"])?;
    fs::create_dir_all(&options["out"])?;
    let root = fs::read(&options["root"])?;
    let metadata = Url::parse(&options["metadata-url"])?;
    let targets = Url::parse(&options["targets-url"])?;
    let transport = HttpTransportBuilder::new()
        .initial_backoff(Duration::ZERO)
        .build();
    Ok(RepositoryLoader::new(&root, metadata, targets)
        .transport(transport)
        .datastore(&options["state"])
        .load()
        .await?)
}

/// Fetches one target and says what came of it.
async fn download(repository: &Repository, name: &str, out: &Path) -> Value {
    let fail = |reason: String| json!({ "ok": false, "target": name, "error": reason });
    let target = match TargetName::new(name) {
        Ok(target) => target,
        Err(error) => return fail(explain(&error)),
    };
    match repository.save_target(&target, out, Prefix::None).await {
        Err(tough::error::Error::SaveTargetNotFound { .. }) => return fail("not found".into()),
        Err(error) => return fail(explain(&error)),
        Ok(()) => {}
    }
    let path = out.join(target.resolved());
    match fs::read(&path) {
        Ok(bytes) => {
            let digest = format!("{:x}", Sha256::digest(bytes));
            json!({ "ok": true, "target": name, "path": path, "sha256": digest })
        }
        Err(error) => fail(explain(&error)),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut options = HashMap::new();
    let mut words = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix("--") {
            Some(option) => {
                drop(options.insert(option.to_string(), arguments.next().unwrap_or_default()))
            }
            None => words.push(argument),
        }
    }
    let known = ["root", "metadata-url", "targets-url", "state", "out"];
    let command = words.first().map(String::as_str);
    if !known.iter().all(|name| options.contains_key(*name))
        || !matches!(command, Some("refresh" | "download"))
    {
        eprintln!(
            "usage: tough-driver --root FILE --metadata-url URL ... (refresh | download NAME...)"
        );
        return ExitCode::from(2);
    }

    let repository = match open(&options).await {
        Ok(repository) => repository,
        Err(error) => {
            println!(
                "{}",
                json!({ "ok": false, "error": explain(error.as_ref()) })
            );
            return ExitCode::FAILURE;
        }
    };
    if command == Some("refresh") {
        let version = json!({
            "root": repository.root().signed.version,
            "timestamp": repository.timestamp().signed.version,
            "snapshot": repository.snapshot().signed.version,
            "targets": repository.targets().signed.version,
        });
        println!("{}", json!({ "ok": true, "version": version }));
        return ExitCode::SUCCESS;
    }
    let mut status = ExitCode::SUCCESS;
    for name in &words[1..] {
        let line = download(&repository, name, Path::new(&options["out"])).await;
        if line["ok"] == false {
            status = ExitCode::FAILURE;
        }
        println!("{line}");
    }
    status
}
