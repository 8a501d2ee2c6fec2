//! The command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use meshlatch::why::Query;

/// Compiles one topology of a mesh over several clusters into a bundle of YAML for each.
///
/// Exit codes: 0 well, 1 the topology has errors, or what `--check` or `--locked` found, 2 anything else.
#[derive(Debug, Parser)]
#[command(name = "meshlatch", version, max_term_width = 100, after_help = MAIN_EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// When to color messages.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    pub(crate) color: Color,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write the bundle of each cluster.
    #[command(after_help = COMPILE_EXAMPLES)]
    Compile(CompileArgs),
    /// Say what changes between two topologies, trees or git revisions, and what that means.
    ///
    /// OLD and NEW are each a topology, a tree such as `out` or one cluster's folder of it, or a git
    /// revision. Without them, the tree is compared with what `compile` would write; with OLD alone, OLD
    /// is. Of a revision, the committed tree is compared if it has one, else what its topology
    /// is compiled to; `REVISION:path` is that very topology or tree, and `A..B` two revisions.
    ///
    /// Exit codes: 0 no differences, 1 differences, 2 trouble, also where a topology has errors.
    #[command(after_help = DIFF_EXAMPLES, mut_arg("topology", as_option))]
    Diff(DiffArgs),
    /// Say what is wrong with a topology and write nothing.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Make the spelling of a topology's files uniform; comments and order stay.
    ///
    /// What is written says the same as before, value for value and comment for comment, or nothing is written.
    #[command(after_help = FMT_EXAMPLES)]
    Fmt(FmtArgs),
    /// Look after topology.lock, in which `compile` keeps the virtual IP of every name.
    #[command(subcommand)]
    Lock(LockCommand),
    /// Plan how a service moves from one cluster to another without a gap.
    ///
    /// Writes a folder a step, each with its topology and what it changes in the bundles, and PLAN.md,
    /// which says what is applied where, in which order, and the way back.
    #[command(after_help = MIGRATE_EXAMPLES)]
    Migrate(MigrateArgs),
    /// Follow every declared call through the bundles, before anything is applied.
    ///
    /// Reads what is written, whoever wrote it: the files that a cluster would be given and those that
    /// install Istio. Of the topology, only who calls whom, the addresses of gateways and pods that somebody
    /// else deploys are asked for. A call that has no path is named with the object, the file and the line at
    /// which it ends, with what Istio does then, and with how to mend it. What is not understood, such as a
    /// filter of Envoy, is named with the calls on which it may act.
    ///
    /// With an option that says what is gone, it tells what becomes of the calls that are proved.
    ///
    /// Exit codes: 0 every call is proved, 1 one is broken or could not be followed, 2 trouble. What becomes of
    /// calls without something does not change that.
    #[command(after_help = PROVE_EXAMPLES)]
    Prove(ProveArgs),
    /// Follow one call, hop by hop, each with the file and the line that decides it.
    #[command(after_help = TRACE_EXAMPLES)]
    Trace(TraceArgs),
    /// Find the order in which the clusters take a changed topology, so that no call is ever without a path.
    ///
    /// Every declared call is followed through each object that is applied, replaced and deleted. Where
    /// the bundles cannot simply be applied one cluster after the other, steps lie between, whose bundles
    /// answer the old way and the new one. A call that no order spares is named, with the place where it
    /// ends; then the exit code is 1.
    ///
    /// A tree that is a step says so, and from which roll-out: `compile --check` compares it with that step, and
    /// where nothing else has changed since, that roll-out is told.
    #[command(after_help = ROLLOUT_EXAMPLES, mut_arg("topology", as_option))]
    Rollout(RolloutArgs),
    /// Count the objects of each cluster, and about how many clusters its Envoys hold.
    #[command(after_help = STATS_EXAMPLES)]
    Stats(StatsArgs),
    /// Say which lines of the topology an object of a bundle comes from.
    ///
    /// Without any of these lines, `compile` would not write it. Where several do the same, it says that
    /// one of them is enough. The object is one of a file that was written, by file and line, or one that
    /// would be written now, by kind and name as with kubectl.
    #[command(after_help = WHY_EXAMPLES)]
    Why(WhyArgs),
    /// Make a root and the intermediates of the clusters, for a trial or a test.
    ///
    /// Writes DIR/root-key.pem, DIR/root-cert.pem, and for each cluster the folder that `trust.files`
    /// of the topology names, DIR/certs/CLUSTER by default: the one that the commands of
    /// 05-secrets/cacerts.md read when they are run in DIR. They are printed, with the fingerprint
    /// of the root.
    ///
    /// Where DIR has a root, clusters that have nothing yet get an intermediate of that root. No file
    /// is ever replaced: move away what is to be made anew.
    ///
    /// Production wants a CA that keeps its keys to itself.
    #[command(after_help = CERTS_EXAMPLES)]
    Certs(CertsArgs),
    /// Tell the longer story of an error or a warning.
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain {
        /// A code as printed, such as T0201; all codes are listed without it.
        code: Option<String>,
    },
    /// Write a commented topology to start from.
    #[command(after_help = INIT_EXAMPLES)]
    Init {
        /// The file to write, which must not exist yet; `-` prints it.
        #[arg(default_value = "topology.yaml")]
        file: PathBuf,
    },
    /// Print the completions of a shell.
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CompileArgs {
    #[command(flatten)]
    pub(crate) topology: TopologyArgs,

    /// The folder to write `<cluster>/` into; `-` prints one cluster for `kubectl apply -f -`.
    #[arg(short, long, value_name = "DIR", default_value = "out")]
    pub(crate) output: PathBuf,

    /// Write this cluster only; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Vec<String>,

    /// Write bundles also if a declared call has no path through them, and do not look whether it has.
    #[arg(long)]
    pub(crate) no_prove: bool,

    /// Write nothing; list the files that differ and exit with 1 if there are any.
    #[arg(long)]
    pub(crate) check: bool,

    /// Write over files of the bundles that were edited by hand, and remove them.
    #[arg(long, conflicts_with = "check")]
    pub(crate) force: bool,

    /// Fail if topology.lock would change.
    #[arg(long)]
    pub(crate) locked: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    pub(crate) sides: SidesArgs,

    /// Tell of this cluster only; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Vec<String>,

    /// How to print it.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = DiffFormat::Human)]
    pub(crate) format: DiffFormat,

    /// Print everything, however long it is; JSON is always whole.
    #[arg(long)]
    pub(crate) all: bool,

    /// Print nothing: the exit code says whether anything differs.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// What is compared with what.
#[derive(Debug, Args)]
pub(crate) struct SidesArgs {
    /// What there is: a topology, a tree, or a git revision.
    pub(crate) old: Option<OsString>,

    /// What there is to be.
    pub(crate) new: Option<OsString>,

    #[command(flatten)]
    pub(crate) topology: TopologyArgs,

    /// The folder of the bundles, on the disk and in a revision.
    #[arg(short, long, value_name = "DIR", default_value = "out")]
    pub(crate) output: PathBuf,
}

/// How a difference is printed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum DiffFormat {
    /// For a terminal.
    Human,
    /// For a comment on a pull request.
    Markdown,
    /// For programs.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) topology: TopologyArgs,

    /// Fail if topology.lock would change.
    #[arg(long)]
    pub(crate) locked: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FmtArgs {
    /// The files, named as for `compile`; `-` alone prints standard input formatted.
    #[arg(default_value = "topology.yaml")]
    pub(crate) topology: Vec<PathBuf>,

    /// Write nothing; print the files that would change, and how, and exit with 1 if there are any.
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LockCommand {
    /// Free the addresses of names that are gone.
    ///
    /// A name that nobody calls any more keeps its address, so that no caller that remembers it reaches
    /// somebody else. Once every cluster is rolled out, such addresses may be given out again.
    Prune(LockArgs),
}

#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    /// The topology beside which the lock lies, named as for `compile`.
    #[arg(default_value = "topology.yaml")]
    pub(crate) topology: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// The service that moves, by its key in the topology.
    pub(crate) service: String,

    #[command(flatten)]
    pub(crate) topology: TopologyArgs,

    /// The cluster that it leaves.
    #[arg(long, value_name = "CLUSTER")]
    pub(crate) from: String,

    /// The cluster that it comes to.
    #[arg(long, value_name = "CLUSTER")]
    pub(crate) to: String,

    /// The share of the calls that the new cluster gets, step by step, in percent.
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', default_value = "0,5,25,50,100")]
    pub(crate) steps: Vec<u32>,

    /// The folder to write; an earlier plan in it is replaced. `-` prints PLAN.md.
    #[arg(short, long, value_name = "DIR", default_value = "move")]
    pub(crate) output: PathBuf,

    /// Write over files of an earlier plan that were edited by hand, and remove them.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) force: bool,

    /// Write nothing; print PLAN.md.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RolloutArgs {
    /// What the clusters run now: a topology, or a git revision that has it.
    #[arg(default_value = "HEAD")]
    pub(crate) old: OsString,

    /// What they are to run, in the same manner; the topology as it is now if nothing is named.
    pub(crate) new: Option<OsString>,

    #[command(flatten)]
    pub(crate) topology: TopologyArgs,

    /// Write the bundles of a step into this folder.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,

    /// The step that is meant, such as 01-prepare.
    #[arg(long, value_name = "NAME")]
    pub(crate) step: Option<String>,

    /// Write over files of the bundles that were edited by hand, and remove them.
    #[arg(long, requires = "output")]
    pub(crate) force: bool,

    /// What to print.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = RolloutFormat::Text)]
    pub(crate) format: RolloutFormat,

    /// What the Application or Kustomization of a cluster is called.
    #[arg(long, value_name = "NAME", default_value = "{cluster}")]
    pub(crate) name: String,
}

/// How a roll-out is printed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RolloutFormat {
    /// The plan, as Markdown, with the commands of each step.
    Text,
    /// The plan, as JSON.
    Json,
    /// The order of one step as sync waves of Argo CD's Applications, to be merged into them.
    ArgoCd,
    /// The order of one step as `dependsOn` of Flux's Kustomizations, to be merged into them.
    Flux,
}

#[derive(Debug, Args)]
pub(crate) struct ProveArgs {
    #[command(flatten)]
    pub(crate) written: WrittenArgs,

    /// Print every hop of every call, with its file and line.
    #[arg(short, long, conflicts_with = "quiet")]
    pub(crate) verbose: bool,

    /// Print only what is broken, or not understood.
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// How it is printed.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Human)]
    pub(crate) format: Format,

    #[command(flatten)]
    pub(crate) lost: LostArgs,
}

/// What is gone, all at once.
#[derive(Debug, Args)]
pub(crate) struct LostArgs {
    /// Tell what becomes of the calls when a cluster is gone: its pods, its gateways and its callers; may be repeated.
    #[arg(long, value_name = "NAME", help_heading = "What if")]
    pub(crate) without_cluster: Vec<String>,

    /// When nothing comes in through the gateway of a cluster; may be repeated.
    #[arg(long, value_name = "CLUSTER", help_heading = "What if")]
    pub(crate) without_gateway: Vec<String>,

    /// When the pods of a service are gone, everywhere or in one cluster; may be repeated.
    #[arg(long, value_name = "SERVICE|SERVICE@CLUSTER", help_heading = "What if")]
    pub(crate) without_service: Vec<String>,

    /// When each cluster, each gateway and each service is gone, one at a time: a table in Markdown.
    #[arg(long, help_heading = "What if", conflicts_with_all = ["without_cluster", "without_gateway", "without_service"])]
    pub(crate) each_failure: bool,
}

/// What was written for the clusters, and who is to call whom.
#[derive(Debug, Args)]
pub(crate) struct WrittenArgs {
    /// The folder of the bundles: a folder a cluster, or a file `<cluster>.yaml`.
    #[arg(default_value = "out")]
    pub(crate) tree: PathBuf,

    /// The topology that says who calls whom: a file or a folder; may be repeated.
    #[arg(long, value_name = "PATH", default_value = TOPOLOGY)]
    pub(crate) calls: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) addresses: AddressArgs,

    /// The namespace of objects that have none.
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    pub(crate) namespace: String,
}

#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// Who calls: a service or an ingress by its key in the topology, or `outside`, through any ingress.
    pub(crate) caller: String,

    #[command(flatten)]
    pub(crate) written: WrittenArgs,

    /// The cluster of the caller.
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: String,

    /// Whom it calls: a service by its key, or a host, and the port if there are several.
    #[arg(long, value_name = "SERVICE|HOST[:PORT]")]
    pub(crate) to: String,
}

#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    pub(crate) topology: TopologyArgs,

    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// `FILE:LINE`, FILE, KIND/NAME, KIND/NAMESPACE/NAME, or KIND with the NAME behind it.
    pub(crate) object: String,

    /// The name, where a KIND stands before it.
    pub(crate) name: Option<String>,

    #[command(flatten)]
    pub(crate) topology: TopologyArgs,

    /// The namespace of the object; any without it.
    #[arg(short, long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,

    /// Look at this cluster only; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Vec<String>,

    /// The folder of the bundles, as answers call it.
    #[arg(short, long, value_name = "DIR", default_value = "out")]
    pub(crate) output: PathBuf,

    /// How the answer is printed.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Human)]
    pub(crate) format: Format,
}

impl WhyArgs {
    /// The words that name the object, and the topology: what stands behind a KIND is its name.
    pub(crate) fn words(&self) -> ((&str, Option<&str>), Vec<PathBuf>) {
        let (object, topology) = (self.object.as_str(), &self.topology.topology);
        match &self.name {
            Some(name) if Query::wants_name(object) => ((object, Some(name)), topology.clone()),
            Some(name) => {
                let more = topology.iter().filter(|_| *topology != [Path::new(TOPOLOGY)]).cloned();
                ((object, None), std::iter::once(name.into()).chain(more).collect())
            }
            None => ((object, None), topology.clone()),
        }
    }
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people, with the lines.
    Human,
    /// For programs, with lines, columns and bytes.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct CertsArgs {
    #[command(flatten)]
    pub(crate) topology: TopologyArgs,

    /// A folder for nothing but keys, outside the bundles: new, empty, or of an earlier run.
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,

    /// Make the intermediate of this cluster only; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Vec<String>,

    /// How long a certificate is valid; an intermediate ends with its root at the latest.
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(crate) days: u32,

    /// How the files of a cluster are called.
    #[arg(long, value_enum, value_name = "LAYOUT", default_value_t = Layout::Cacerts)]
    pub(crate) layout: Layout,

    /// The folder of the bundles, in which no key may lie.
    #[arg(short, long, value_name = "DIR", default_value = "out")]
    pub(crate) output: PathBuf,
}

/// How the files of a cluster's intermediate are called.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Layout {
    /// ca-cert.pem, ca-key.pem, root-cert.pem, cert-chain.pem: what every Istio reads.
    Cacerts,
    /// tls.crt, tls.key, ca.crt, as in a secret of the type `kubernetes.io/tls`: from Istio 1.15.
    Tls,
}

/// The topology that is read if none is named.
pub(crate) const TOPOLOGY: &str = "topology.yaml";

/// A topology, with what it cannot know.
#[derive(Debug, Clone, Args)]
pub(crate) struct TopologyArgs {
    /// The files, and folders whose *.yaml files are meant; `-` reads from standard input.
    ///
    /// A file NAME.yaml that is named alone has the files of the folder NAME.d beside it, if there is one.
    #[arg(default_value = TOPOLOGY)]
    pub(crate) topology: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) addresses: AddressArgs,
}

/// Addresses that a topology cannot know.
#[derive(Debug, Clone, Args)]
pub(crate) struct AddressArgs {
    /// The address of a cluster's gateway, or of CLUSTER.dns: as such, or as @FILE with the JSON of
    /// the Service.
    #[arg(long, value_name = "NAME=ADDRESS|NAME=@FILE", value_parser = address)]
    pub(crate) address: Vec<Address>,

    /// A file of addresses: `terraform output -json`, or a map of names. `--address` has the last
    /// word.
    #[arg(long, value_name = "FILE")]
    pub(crate) addresses: Vec<PathBuf>,
}

/// An address given by name.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// What it belongs to.
    pub(crate) name: String,
    /// Where it stands.
    pub(crate) value: AddressValue,
}

/// Where an address stands.
#[derive(Debug, Clone)]
pub(crate) enum AddressValue {
    /// On the command line.
    Text(String),
    /// In a file.
    File(PathBuf),
}

/// Where both arguments are taken, the topology is an option.
fn as_option(topology: clap::Arg) -> clap::Arg {
    let help = "The topology as it is now, and its path in a revision: a file or a folder; may be repeated";
    let topology = topology.long("topology").short('t').value_name("PATH").num_args(1);
    topology.display_order(0).help(help).long_help(help)
}

fn address(argument: &str) -> Result<Address, String> {
    let (name, value) = argument.split_once('=').ok_or("write NAME=ADDRESS or NAME=@FILE")?;
    if name.is_empty() || value.is_empty() || value == "@" {
        return Err("both sides of `=` must say something".to_owned());
    }
    let value = match value.strip_prefix('@') {
        Some(file) => AddressValue::File(file.into()),
        None => AddressValue::Text(value.to_owned()),
    };
    Ok(Address { name: name.to_owned(), value })
}

/// When to color messages.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` or `CLICOLOR` say otherwise.
    Auto,
    /// Also into files and pipes.
    Always,
    /// Not at all.
    Never,
}

const MAIN_EXAMPLES: &str = "\
Examples:
  meshlatch init                 write a commented topology.yaml
  meshlatch check                see whether it is right
  meshlatch compile              write out/<cluster>/ for every cluster
  meshlatch explain T0201        the longer story of an error";

const COMPILE_EXAMPLES: &str = "\
Examples:
  Every cluster of topology.yaml into out/
      meshlatch compile
  A topology in several files
      meshlatch compile                          topology.yaml, and topology.d/*.yaml if it exists
      meshlatch compile clusters.yaml teams/     this file, and the *.yaml files of this folder
  See in CI whether the committed tree is what the topology says
      meshlatch compile --check
  Apply one cluster without a tree
      meshlatch compile -o - --cluster east | kubectl --context east apply -f -
  An address that only exists once the load balancer does
      meshlatch compile --address east=34.70.9.157
      kubectl -n istio-system get service istio-eastwestgateway -o json |
        meshlatch compile --address east=@-
      terraform output -json | meshlatch compile --addresses -";

const DIFF_EXAMPLES: &str = "\
Examples:
  What `compile` would change in the tree
      meshlatch diff
  What is not committed yet, and what it does to calls
      meshlatch diff HEAD
  What a branch changes, as a comment for its pull request
      meshlatch diff origin/main...HEAD --format markdown
  Two files, or a file as it was
      meshlatch diff old.yaml new.yaml
      meshlatch diff HEAD~3:mesh/topology.yaml mesh/topology.yaml
  A tree that somebody else rendered
      meshlatch diff rendered/ out/ --cluster east
  Whether anything changes at all
      meshlatch diff --quiet || echo it does";

const CHECK_EXAMPLES: &str = "\
Examples:
  meshlatch check
  meshlatch check mesh/topology.yaml
  meshlatch check clusters.yaml teams/
  helm template mesh | meshlatch check -";

const FMT_EXAMPLES: &str = "\
Examples:
  topology.yaml, and topology.d/*.yaml if it exists
      meshlatch fmt
  See in CI whether everything is formatted
      meshlatch fmt --check
  From an editor
      meshlatch fmt - < topology.d/payments.yaml";

const MIGRATE_EXAMPLES: &str = "\
Examples:
  Read the plan first
      meshlatch migrate cart --from east --to west --dry-run
  Write it, in three steps of your own
      meshlatch migrate cart --from east --to west --steps 0,10,100 -o moves/cart
  Do a step
      meshlatch compile moves/cart/01-start-prepare/topology.yaml -o out";

const ROLLOUT_EXAMPLES: &str = "\
Examples:
  Read the plan
      meshlatch rollout before.yaml topology.yaml
  Write the bundles of a step into out/, to commit and apply them
      meshlatch rollout before.yaml topology.yaml --step 01-prepare -o out
  The order of that step's clusters for Argo CD's Applications mesh-CLUSTER
      meshlatch rollout before.yaml topology.yaml --step 01-prepare --format argo-cd --name 'mesh-{cluster}'";

const PROVE_EXAMPLES: &str = "\
Examples:
  What `compile` wrote into out/
      meshlatch prove
  Every hop, with its file and line
      meshlatch prove -v
  What a kustomize overlay makes of it, a file a cluster
      kustomize build overlays/east > built/east.yaml
      meshlatch prove built
  What a cluster that is gone does to the calls, and two gateways at once
      meshlatch prove --without-cluster east
      meshlatch prove --without-gateway east --without-gateway west
  A table of everything that may fail, for a design review
      meshlatch prove --each-failure > failures.md
  The broken calls, for a program
      meshlatch prove --format json | jq '.broken[].break'";

const TRACE_EXAMPLES: &str = "\
Examples:
  A declared call
      meshlatch trace web --cluster east --to cart
  Any host, whether it is declared or not
      meshlatch trace web --cluster east --to cart.shop.global:7070";

const STATS_EXAMPLES: &str = "\
Examples:
  meshlatch stats
  The sidecar with the most Envoy clusters of each cluster
      meshlatch stats --json | jq '.clusters[] | [.name, .mesh.most.clusters]'";

const WHY_EXAMPLES: &str = "\
Examples:
  What asked for the object at this line
      meshlatch why out/west/20-mesh/cart.shop.yaml:14
  As with kubectl, in every cluster that has one
      meshlatch why serviceentry/cart -n shop
      meshlatch why se cart --cluster west
  The lines of another topology, for a program
      meshlatch why vs/shop/cart mesh.yaml --format json | jq '.objects[].needs'";

const CERTS_EXAMPLES: &str = "\
Examples:
  Keys for every cluster of topology.yaml, in a folder beside the repository
      meshlatch certs --to ../trial-ca
  A cluster that came later, under the same root
      meshlatch certs --to ../trial-ca --cluster west
  Certificates that end with the week
      meshlatch certs --to ../trial-ca --days 7";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  meshlatch explain T0201        one code
  meshlatch explain              all codes";

const INIT_EXAMPLES: &str = "\
Examples:
  meshlatch init                 topology.yaml in this folder
  meshlatch init mesh/prod.yaml
  meshlatch init - | less";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  meshlatch completions bash > /etc/bash_completion.d/meshlatch
  meshlatch completions zsh > \"${fpath[1]}/_meshlatch\"
  meshlatch completions fish > ~/.config/fish/completions/meshlatch.fish";
