//! `meshlatch certs`: a root and an intermediate for each cluster, for a trial.

mod authority;
mod batch;
mod folder;

use std::fmt::Write as _;
use std::time::SystemTime;

use annotate_snippets::Level;
use meshlatch::topology::{ClusterId, TrustOrigin};
use meshlatch::{CaFiles, Mesh, shell_word};

use crate::args::{CertsArgs, Layout};
use crate::disk::Access;
use crate::failure::Failure;
use crate::tree::Output;
use crate::{Status, compile, terminal};
use authority::{Intermediate, KeyKind, Life, Root};
use batch::Batch;
use folder::Folder;

/// The file of the root's certificate.
const ROOT_CERTIFICATE: &str = "root-cert.pem";

/// The file of the root's key.
const ROOT_KEY: &str = "root-key.pem";

/// What keeps everything here out of a repository.
const GITIGNORE: &str = ".gitignore";

/// The clusters to care for, each with its folder below that of the keys.
type Places<'a> = Vec<(ClusterId, &'a str, String)>;

/// A certificate of which the user is told.
struct Told {
    made: bool,
    end: String,
}

/// Makes what is not there yet, and says how to hand it over.
pub(crate) fn run(args: &CertsArgs) -> Result<Status, Failure> {
    let Some(mesh) = compile::mesh(&args.topology)? else { return Ok(Status::Wrong) };
    let clusters = compile::select(&mesh, &args.cluster)?;
    let names = files_read_by(&mesh, &clusters, args.layout)?;
    let folder = Folder::find(&args.to, &args.output)?;
    let places = folder::places(&folder, &mesh, clusters)?;

    let mut output = Output::open(folder.path(), Access::Owner)?;
    let life = Life { now: now()?, days: args.days };
    let found = read_root(&folder, life.now)?;
    refuse_another_root(&mesh, found.as_ref(), &folder)?;
    let (root, root_key) = match found {
        Some(root) => (root, None),
        None => {
            let (root, key) = Root::make(life);
            (root, Some(key))
        }
    };
    let mut batch = Batch::new(output.staging())?;
    if let Some(key) = &root_key {
        if folder.read(GITIGNORE)?.is_none() {
            batch.write(GITIGNORE, "*\n")?;
        }
        // The key before its certificate, and both before what they sign: a run that is killed
        // leaves nothing that is signed by a key that is nowhere.
        batch.write_key(ROOT_KEY, key)?;
        batch.write(ROOT_CERTIFICATE, root.certificate())?;
    }
    let mut told = Vec::new();
    for (id, name, files) in &places {
        let kind = if mesh.cluster(*id).target.signs_with_ecdsa { KeyKind::Ecdsa } else { KeyKind::Rsa };
        let kept = if !folder.has(files) {
            None
        } else if args.cluster.is_empty() {
            Some(kept(&folder, files, names, |text| root.end_of(text, kind))?)
        } else {
            return Err(exists(&folder, files, names));
        };
        told.push(match kept {
            Some(end) => Told { made: false, end },
            None => {
                let intermediate = root.sign(name, kind, life);
                write(&mut batch, files, names, &root, &intermediate)?;
                Told { made: true, end: intermediate.end }
            }
        });
    }
    output.put_in_place(|transaction| batch.place(folder.path(), transaction))?;
    drop(output);

    warn(&folder, names, root_key.is_some() || told.iter().any(|it| it.made))?;
    let root_told = Told { made: root_key.is_some(), end: root.end() };
    terminal::print(&summary(&mesh, &folder, &places, names, &root, &root_told, &told))?;
    Ok(Status::Well)
}

/// The names of the files, if all of these clusters read such files.
fn files_read_by(mesh: &Mesh, clusters: &[(ClusterId, &str)], layout: Layout) -> Result<CaFiles, Failure> {
    match layout {
        Layout::Cacerts => Ok(CaFiles::Cacerts),
        Layout::Tls => match clusters.iter().find(|(id, _)| !mesh.cluster(*id).target.cacerts_as_tls) {
            None => Ok(CaFiles::Tls),
            Some((id, name)) => {
                let release = mesh.cluster(*id).istio;
                Err(Failure::new(format!("Istio {release} of `{name}` does not read `{}`", CaFiles::Tls.certificate()))
                    .note("from Istio 1.15, istiod takes a secret with the keys of `kubernetes.io/tls`")
                    .help("leave `--layout` out: every Istio reads the files of `cacerts`"))
            }
        },
    }
}

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "a certificate begins and ends, and only the binary has a clock")]
fn now() -> Result<u64, Failure> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Ok(since.map_err(|_| Failure::new("the clock of this machine says that it is before 1970"))?.as_secs())
}

/// The root that the folder has.
fn read_root(folder: &Folder, now: u64) -> Result<Option<Root>, Failure> {
    let (key, certificate) = (folder.shown(ROOT_KEY), folder.shown(ROOT_CERTIFICATE));
    match (folder.read(ROOT_KEY)?, folder.read(ROOT_CERTIFICATE)?) {
        (Some(key), Some(text)) => Root::read(&text, &key, now).map(Some).map_err(|reason| {
            Failure::new(format!("{certificate} cannot be the root of these clusters: {reason}"))
                .help("for a root of its own, name another folder with `--to`")
        }),
        (None, Some(_)) => Err(Failure::new(format!("{certificate} is there, and its key is not"))
            .help(format!("bring {key} back for this run, or name another folder with `--to`"))),
        (Some(_), None) => Err(Failure::new(format!("{key} is there, and its certificate is not"))
            .help(format!("bring {certificate} back, or move the key away if it has signed nothing"))),
        (None, None) => {
            folder.refuse_other_files()?;
            Ok(None)
        }
    }
}

/// A topology that names its root means that one and no other.
fn refuse_another_root(mesh: &Mesh, root: Option<&Root>, folder: &Folder) -> Result<(), Failure> {
    let named = mesh.clusters().find_map(|(id, _)| mesh.cluster(id).trust.root_fingerprint.as_deref());
    let Some(named) = named else { return Ok(()) };
    let failure = match root.map(Root::fingerprint) {
        Some(found) if found == named => return Ok(()),
        Some(found) => Failure::new(format!("the topology names another root than {}", folder.shown(ROOT_CERTIFICATE)))
            .note(format!("its `rootFingerprint` is {named}"))
            .note(format!("the certificate's is    {found}")),
        None => Failure::new("the topology names a root, and a new one would be another")
            .note(format!("its `rootFingerprint` is {named}")),
    };
    Err(failure.help("name the folder of that root with `--to`; for a new root, take `rootFingerprint` out first"))
}

/// When the intermediate ends that a cluster has already.
fn kept(
    folder: &Folder,
    files: &str,
    names: CaFiles,
    end_of: impl FnOnce(&str) -> Result<String, &'static str>,
) -> Result<String, Failure> {
    let path = |name: &str| format!("{files}/{name}");
    if let Some(missing) = names.names().iter().find(|name| !folder.has(&path(name))) {
        return Err(Failure::new(format!("{} exists already, without `{missing}`", folder.shown(files)))
            .help("nothing is ever replaced: move it away, or leave this cluster out with `--cluster`"));
    }
    let certificate = path(names.certificate());
    let text = folder.read(&certificate)?.unwrap_or_default();
    end_of(&text).map_err(|reason| {
        Failure::new(format!("{} {reason}", folder.shown(&certificate)))
            .help(format!("move {} away, and the next run makes it anew", folder.shown(files)))
    })
}

/// A cluster that was asked for by name has something already.
fn exists(folder: &Folder, files: &str, names: CaFiles) -> Failure {
    let paths = names.names().iter().map(|name| format!("{files}/{name}"));
    let first = paths.into_iter().find(|it| folder.has(it)).unwrap_or_else(|| files.to_owned());
    Failure::new(format!("{} exists already", folder.shown(&first)))
        .help(format!("nothing is ever replaced: for a new intermediate, move {} away", folder.shown(files)))
}

fn write(
    batch: &mut Batch,
    files: &str,
    names: CaFiles,
    root: &Root,
    intermediate: &Intermediate,
) -> Result<(), Failure> {
    batch.make_folder(files)?;
    batch.write_key(&format!("{files}/{}", names.key()), &intermediate.key)?;
    batch.write(&format!("{files}/{}", names.certificate()), &intermediate.certificate)?;
    batch.write(&format!("{files}/{}", names.root()), root.certificate())?;
    match names.chain() {
        Some(chain) => {
            let text = format!("{}{}", intermediate.certificate, root.certificate());
            batch.write(&format!("{files}/{chain}"), &text)
        }
        None => Ok(()),
    }
}

fn warn(folder: &Folder, names: CaFiles, made: bool) -> Result<(), Failure> {
    if made {
        let note = format!("whoever reads {} can be every service of the mesh", folder.shown(ROOT_KEY));
        let help = "production wants a CA that keeps its keys to itself, such as an HSM, Vault or cert-manager";
        terminal::report(Level::WARNING, "these keys are for a trial or a test", &[note], &[help.to_owned()]);
    }
    if names == CaFiles::Tls {
        let message = "`05-secrets/cacerts.md` and the runbook speak of the files of `cacerts`";
        let help = format!("where they say `{ROOT_CERTIFICATE}`, read `{}`", names.root());
        terminal::report(Level::NOTE, message, &[], &[help]);
    }
    let ignores_all = folder.read(GITIGNORE)?.is_some_and(|it| it.lines().any(|line| line == "*"));
    if let Some(repository) = folder.repository().filter(|_| !ignores_all) {
        let message = format!("git may take the keys along: {} is its work tree", repository.display());
        let help = format!("write `*` into {}, or keep the keys elsewhere", folder.shown(GITIGNORE));
        terminal::report(Level::WARNING, &message, &[], &[help]);
    }
    Ok(())
}

/// A script: what was made in comments, and the commands that hand it over.
fn summary(
    mesh: &Mesh,
    folder: &Folder,
    places: &Places<'_>,
    names: CaFiles,
    root: &Root,
    root_told: &Told,
    told: &[Told],
) -> String {
    // The folder's name might have an end of line in it.
    let comment = |text: String| text.replace(char::is_control, " ");
    let say = |it: &Told| format!("{}, valid until {}", if it.made { "made" } else { "there already" }, it.end);
    let mut lines = vec![
        comment(format!("# {}: {}", folder.shown(ROOT_CERTIFICATE), say(root_told))),
        format!("#   rootFingerprint: \"{}\"", root.fingerprint()),
        format!("cd {}", shell_word(&folder.shown_path())),
    ];
    for ((id, name, files), it) in places.iter().zip(told) {
        lines.push(comment(format!("# {name}: {}", say(it))));
        match (mesh.cacerts_command(*id, names), &mesh.cluster(*id).trust.origin) {
            (None, TrustOrigin::ExternalSecret { store, key, .. }) => {
                lines.push(format!("#   from {files} into the store `{store}`, as `{key}`"));
            }
            (command, _) => lines.extend(command.map(|it| it.trim_end().to_owned())),
        }
    }
    lines.iter().fold(String::new(), |mut text, line| {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "{line}");
        text
    })
}
