//! `gatepost spool`: what lies on disk, read without the server and without changing anything.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use queue::letter::codec;
use queue::spool::{Depth, InspectedLetter, Inspection, RealDisk, inspect};
use queue::{Body, Filter, QueueId, Summary, Timestamp};
use serde_json::json;

use super::{ConfigFile, SpoolCommand, print_json};
use crate::config;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::{self, BAD, GOOD, Table, paint};

/// Octets read at once from a letter.
const PIECE: usize = 256 * 1024;

pub fn run(command: SpoolCommand) -> Result<(), Fault> {
    match command {
        SpoolCommand::Verify { json, file } => verify(json, &folder(&file)?),
        SpoolCommand::List { json, file } => list(json, &folder(&file)?),
        SpoolCommand::Export { eml, ids, file } => export(&eml, &ids, &folder(&file)?),
    }
}

fn folder(file: &ConfigFile) -> Result<PathBuf, Fault> {
    Ok(config::read(&file.config)?.config.server.data_dir)
}

fn look(data_dir: &Path, depth: Depth) -> Result<Inspection, Fault> {
    let dir = data_dir.join("spool");
    inspect(Arc::new(RealDisk), &dir, depth)
        .map_err(|error| Fault::new(Exit::DataDir, error.to_string()).help("server.data_dir names the folder"))
}

fn list_at_rest(data_dir: &Path) -> Result<Vec<Summary>, Fault> {
    queue::offline::list(data_dir, &Filter::default()).map_err(|error| Fault::new(Exit::DataDir, error.to_string()))
}

fn verify(json: bool, data_dir: &Path) -> Result<(), Fault> {
    let found = look(data_dir, Depth::Full)?;
    let readable = |found: &&InspectedLetter| codec::decode_meta(found.letter.id, &found.letter.meta).is_ok();
    let unreadable = found.letters.len() - found.letters.iter().filter(readable).count();
    if json {
        print_json(&json!({
            "segments": found.segments,
            "octets": found.octets,
            "letters": found.letters.len(),
            "unreadable": unreadable,
            "removed": found.removed,
            "torn": found.torn,
            "problems": found.problems.iter().map(|p| json!({"file": p.file, "offset": p.offset, "what": p.what})).collect::<Vec<_>>(),
        }))?;
    } else {
        println!("{} segments, {} of records", found.segments, output::size(found.octets));
        let letters = output::letters(found.letters.len());
        println!("{letters}, {} removals not yet cleared away", found.removed);
        if found.torn > 0 {
            println!("{} of unfinished writes (never acknowledged)", output::size(found.torn));
        }
        for problem in &found.problems {
            anstream::println!("{} {} at {}: {}", paint(BAD, "damaged"), problem.file, problem.offset, problem.what);
        }
    }
    if found.problems.is_empty() && unreadable == 0 {
        if !json {
            anstream::println!("{}", paint(GOOD, "ok"));
        }
        return Ok(());
    }
    Err(Fault::failed(format!("{} damaged places, {unreadable} unreadable envelopes", found.problems.len()))
        .help("a start sets damaged records aside in `quarantine` and goes on with the others"))
}

fn list(json: bool, data_dir: &Path) -> Result<(), Fault> {
    let letters = list_at_rest(data_dir)?;
    if json {
        return print_json(&letters);
    }
    let mut table = Table::new(&["LETTER", "AGE", "SIZE", "FROM", "TO"]);
    let now = Timestamp::now();
    for letter in &letters {
        table.row([
            letter.id.to_string(),
            output::span(now.0.saturating_sub(letter.arrived.0)),
            output::size(letter.size),
            if letter.from.is_empty() { "<>".into() } else { letter.from.clone() },
            letter.to.join(" "),
        ]);
    }
    anstream::print!("{}", table.render());
    println!("{}.", output::letters(letters.len()));
    Ok(())
}

fn export(target: &Path, ids: &[String], data_dir: &Path) -> Result<(), Fault> {
    let wanted = ids
        .iter()
        .map(|id| id.parse().map_err(|error| Fault::new(Exit::Usage, format!("`{id}`: {error}"))))
        .collect::<Result<Vec<QueueId>, Fault>>()?;
    let cannot = |path: &Path, error: &io::Error| Fault::io(Exit::Failed, format_args!("{}", path.display()), error);
    std::fs::create_dir_all(target).map_err(|error| cannot(target, &error))?;
    let mut count = 0;
    for found in look(data_dir, Depth::Quick)?.letters {
        let id = found.letter.id;
        if wanted.is_empty() || wanted.contains(&id) {
            let path = target.join(format!("{id}.eml"));
            write(&path, &found.body).map_err(|error| cannot(&path, &error))?;
            count += 1;
        }
    }
    println!("{} written to {}", output::letters(count), target.display());
    if count < wanted.len() {
        return Err(Fault::failed(format!("{} of those named are not in the spool", wanted.len() - count)));
    }
    Ok(())
}

fn write(path: &Path, body: &Body) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    let mut offset = 0;
    loop {
        let piece = body.read_at(offset, PIECE)?;
        if piece.is_empty() {
            return Ok(());
        }
        file.write_all(&piece)?;
        offset += piece.len() as u64;
    }
}
