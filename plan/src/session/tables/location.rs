//! From what a user writes to the places that files lie in: a file, a folder, or a pattern of them.

use super::{kind::is_hidden, wrong};
use crate::store::store_of;
use datafusion::{common::Result, datasource::listing::ListingTableUrl, execution::session_state::SessionState};
use futures::{StreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use std::{path, sync::Arc};
use url::Url;

/// Folders that a pattern may stand for: listing more takes longer than anybody waits for.
const MAX_FOLDERS: usize = 10_000;
/// Folders that are listed at once.
const AT_ONCE: usize = 16;

/// Whether there must be something at a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MustExist {
    Yes,
    No,
}

/// A location in parts.
struct Parsed {
    /// The part without patterns.
    base: Url,
    /// Segments from the first pattern on.
    pattern: Vec<String>,
}

/// The places that a location stands for, each a file or, with a slash at its end, a folder.
pub(super) async fn roots(state: &SessionState, text: &str, must_exist: MustExist) -> Result<Vec<ListingTableUrl>> {
    let Parsed { base, pattern } = parse(text)?;
    if base.scheme() == "file" {
        let path = base.to_file_path().map_err(|()| wrong(text, "is no path of a file"))?;
        return local(state, text, base, &path, pattern, must_exist).await;
    }
    let url = ListingTableUrl::try_new(base, None)?;
    let store = state.runtime_env().object_store(&url)?;
    if !pattern.is_empty() {
        return expand(text, store, url, &pattern).await;
    }
    if url.is_collection() {
        return Ok(vec![url]);
    }
    match store.head(url.prefix()).await {
        Ok(_) => Ok(vec![url]),
        // A server of the web has no folders.
        Err(object_store::Error::NotFound { .. }) if !url.scheme().starts_with("http") => Ok(vec![as_folder(&url)?]),
        Err(error) => Err(error.into()),
    }
}

async fn local(
    state: &SessionState,
    text: &str,
    base: Url,
    path: &path::Path,
    pattern: Vec<String>,
    must_exist: MustExist,
) -> Result<Vec<ListingTableUrl>> {
    let found = tokio::fs::metadata(path).await;
    let url = ListingTableUrl::try_new(base, None)?;
    match found {
        Ok(found) if found.is_dir() && pattern.is_empty() => Ok(vec![as_folder(&url)?]),
        Ok(found) if found.is_dir() => {
            let store = state.runtime_env().object_store(&url)?;
            expand(text, store, url, &pattern).await
        }
        Ok(_) if text.ends_with('/') => Err(wrong(text, "is a file; write it without the slash")),
        Ok(_) if pattern.is_empty() => Ok(vec![url]),
        Err(_) if must_exist == MustExist::No && pattern.is_empty() => Ok(vec![url]),
        Ok(_) => Err(wrong(text, format!("{} is a file, not a folder", path.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(wrong(path.display(), "no such file or directory"))
        }
        Err(error) => Err(wrong(path.display(), error)),
    }
}

fn as_folder(url: &ListingTableUrl) -> Result<ListingTableUrl> {
    let mut folder = url.get_url().clone();
    if !folder.path().ends_with('/') {
        folder.set_path(&format!("{}/", folder.path()));
    }
    ListingTableUrl::try_new(folder, None)
}

fn has_pattern(segment: &str) -> bool {
    segment.contains(['*', '?', '['])
}

fn parse(text: &str) -> Result<Parsed> {
    match text.split_once("://") {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("file") => {
            let url = Url::parse(text).map_err(|e| wrong(text, e))?;
            let path =
                url.to_file_path().map_err(|()| wrong(text, "a URL of a file has no host, as in file:///data"))?;
            Ok(parse_path(&path.to_string_lossy(), text.ends_with('/')))
        }
        Some((scheme, rest)) => parse_url(text, &scheme.to_ascii_lowercase(), rest),
        None => {
            let path = path::absolute(text).map_err(|e| wrong(text, e))?;
            let Some(path) = path.to_str() else { return Err(wrong(text, "the path is not UTF-8")) };
            Ok(parse_path(path, text.ends_with('/')))
        }
    }
}

/// What lies on disk under this very name is meant, whatever characters are in it.
fn parse_path(text: &str, folder: bool) -> Parsed {
    let literal = !text.contains(['*', '?', '[']) || path::Path::new(text).exists();
    let segments: Vec<&str> = text.split('/').filter(|s| !s.is_empty()).collect();
    let plain = if literal { segments.len() } else { segments.iter().take_while(|s| !has_pattern(s)).count() };
    let mut base = path::PathBuf::from("/");
    base.extend(&segments[..plain]);
    let url =
        if folder || plain < segments.len() { Url::from_directory_path(&base) } else { Url::from_file_path(&base) };
    let pattern = segments[plain..].iter().map(|s| (*s).to_owned()).collect();
    // The path is absolute, so it has a URL.
    Parsed { base: url.unwrap_or_else(|()| unreachable!("{} is absolute", base.display())), pattern }
}

fn parse_url(text: &str, scheme: &str, rest: &str) -> Result<Parsed> {
    let web = scheme == "http" || scheme == "https";
    if web && rest.contains(['?', '#']) {
        return Err(wrong(text, "a URL with ? or # cannot be read; the part from there on would be left out"));
    }
    if web && rest.contains('*') {
        return Err(wrong(text, "a server of the web cannot be asked for its files; name one"));
    }
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    let plain = if web { segments.len() } else { segments.iter().take_while(|s| !has_pattern(s)).count() };
    let mut base = format!("{scheme}://{host}/{}", segments[..plain].join("/"));
    if (plain < segments.len() || path.ends_with('/')) && !base.ends_with('/') {
        base.push('/');
    }
    let base = Url::parse(&base).map_err(|e| wrong(text, e))?;
    Ok(Parsed { base, pattern: segments[plain..].iter().map(|s| (*s).to_owned()).collect() })
}

/// A pattern of one segment. A star at its beginning does not stand for what is hidden.
struct Pattern(ListingTableUrl);

impl Pattern {
    fn new(url: &ListingTableUrl, text: &str) -> Result<Self> {
        let text = match text.strip_prefix('*') {
            Some(rest) => format!("[!._]*{rest}"),
            None => text.to_owned(),
        };
        let pattern = url.clone().with_glob(&text);
        pattern.map(Self).map_err(|e| wrong(text, format!("is no pattern: {}", e.strip_backtrace())))
    }

    fn matches(&self, name: &str) -> bool {
        !is_hidden(name) && self.0.get_glob().as_ref().is_some_and(|glob| glob.matches(name))
    }
}

/// Lists folders until only the pattern of files is left, and gives one root a folder.
async fn expand(
    text: &str,
    store: Arc<dyn ObjectStore>,
    base: ListingTableUrl,
    pattern: &[String],
) -> Result<Vec<ListingTableUrl>> {
    let (files, folders) = match pattern.split_last() {
        // All below, in whatever folder.
        Some((last, folders)) if last == "**" => ("*".to_owned(), [folders, &["**".to_owned()]].concat()),
        Some((last, folders)) => (last.clone(), folders.to_vec()),
        None => return Ok(vec![base]),
    };
    let files = Pattern::new(&base, &files)?;
    let mut found = vec![base.prefix().clone()];
    for (place, folder) in folders.iter().enumerate() {
        found = if folder == "**" {
            // A folder that the next pattern stands for is read as a whole.
            let whole = (place + 1 == folders.len()).then_some(&files);
            below(text, store.as_ref(), found, whole).await?
        } else {
            let pattern = Pattern::new(&base, folder)?;
            let next = children(store.as_ref(), found).await?;
            next.into_iter().filter(|path| path.filename().is_some_and(|name| pattern.matches(name))).collect()
        };
        bounded(text, found.len())?;
    }
    found.sort();
    let store_url = store_of(&base);
    let root = |path: Path| {
        let mut url = store_url.clone();
        url.set_path(&if path.as_ref().is_empty() { "/".into() } else { format!("/{path}/") });
        let glob = files.0.get_glob().as_ref().map(ToString::to_string).unwrap_or_default();
        ListingTableUrl::try_new(url, None)?.with_glob(&glob)
    };
    found.into_iter().map(root).collect()
}

fn bounded(text: &str, folders: usize) -> Result<()> {
    if folders > MAX_FOLDERS {
        return Err(wrong(text, format!("stands for more than {MAX_FOLDERS} folders; name fewer of them")));
    }
    Ok(())
}

/// The folders in these folders.
async fn children(store: &dyn ObjectStore, folders: Vec<Path>) -> Result<Vec<Path>> {
    let list = |folder: Path| async move { store.list_with_delimiter(Some(&folder)).await };
    let mut listed = stream::iter(folders.into_iter().map(list)).buffered(AT_ONCE);
    let mut found = Vec::new();
    while let Some(list) = listed.next().await {
        found.extend(list?.common_prefixes);
    }
    Ok(found)
}

/// These folders and all in them, but for those that `whole` stands for, and for Hive partitions, which belong to theirs.
async fn below(text: &str, store: &dyn ObjectStore, folders: Vec<Path>, whole: Option<&Pattern>) -> Result<Vec<Path>> {
    let mut all = folders.clone();
    let mut last = folders;
    while !last.is_empty() {
        let mut next = children(store, last).await?;
        next.retain(|path| {
            let name = path.filename().unwrap_or_default();
            // With a star alone everything below the first folders is read as a whole.
            !is_hidden(name) && !name.contains('=') && !whole.is_some_and(|pattern| pattern.matches(name))
        });
        all.extend(next.iter().cloned());
        bounded(text, all.len())?;
        last = next;
    }
    Ok(all)
}
