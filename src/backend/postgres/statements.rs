//! All SQL.
//!
//! The statements are standard SQL where possible, otherwise SQL that the engines with
//! PostgreSQL's protocol have in common. Only those with `pg_notify` require PostgreSQL. A
//! statement that writes takes many rows at once, as one array for each column.

use std::sync::LazyLock;

use crate::backend::{Order, row::COLUMNS};

/// How many of the columns are texts. The columns after them are numbers.
pub(super) const TEXTS: usize = 12;

// Sessions.

pub(super) fn set_timeout(millis: u128) -> String {
    format!("SET statement_timeout = {millis}")
}

/// Sets the timeout of the statements of one transaction.
pub(super) fn set_local_timeout(millis: u128) -> String {
    format!("SET LOCAL statement_timeout = {millis}")
}

/// Sets how long a session waits for one lock. Not every engine supports this.
///
/// The statement timeout does not bound a commit. Commits that notify wait for each other, and
/// so for one that waits for its standby. Without a lock timeout, abandoned sessions of this
/// kind would stay on the server until it accepts no more connections.
pub(super) fn set_lock_timeout(millis: u128) -> String {
    format!("SET lock_timeout = {millis}")
}

/// Sets the lock timeout of one transaction.
pub(super) fn set_local_lock_timeout(millis: u128) -> String {
    format!("SET LOCAL lock_timeout = {millis}")
}

/// Makes PostgreSQL always walk indexes in order. Statements are planned once, perhaps on an
/// empty table, and must not scan or sort once the table has grown. Engines without these
/// settings reject them.
pub(super) const SET_PLANS: [&str; 5] = [
    "SET plan_cache_mode = force_generic_plan",
    "SET enable_seqscan = off",
    "SET enable_bitmapscan = off",
    "SET enable_sort = off",
    "SET enable_incremental_sort = off",
];

/// Whether a commit waits for the disk, and the setting that makes it wait.
pub(super) const SHOW_COMMIT: &str = "SHOW synchronous_commit";
pub(super) const SET_COMMIT: &str = "SET synchronous_commit = on";

pub(super) const SHOW_ENCODING: &str = "SHOW server_encoding";

/// The server's system identifier, which its standbys share, and its timeline in hexadecimal
/// digits, which grows with each promotion. Only PostgreSQL itself supports this.
pub(super) const TIMELINE: &str = "SELECT CAST(system_identifier AS text),
    substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) FROM pg_control_system()";

/// Takes the right to build indexes of this store, unless another session has it. Ends with the
/// session.
pub(super) const LOCK_BUILD: &str =
    "SELECT pg_try_advisory_lock(CAST(CAST('credentials' AS regclass) AS oid)::bigint)";
pub(super) const UNLOCK_BUILD: &str =
    "SELECT pg_advisory_unlock(CAST(CAST('credentials' AS regclass) AS oid)::bigint)";

pub(super) const HAS_RECORDS: &str = "SELECT EXISTS (SELECT 1 FROM credentials)";

/// The indexes of a build that was interrupted.
pub(super) const BROKEN_INDEXES: &str = "SELECT CAST(c.relname AS text) FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE i.indrelid = CAST('credentials' AS regclass) AND NOT i.indisvalid";

/// Splits a migration into the statements that create indexes, each to be run outside a
/// transaction, while others write.
pub(super) fn concurrent_indexes(migration: &str) -> Vec<String> {
    let statements =
        migration.split(';').filter_map(|part| part.find("CREATE ").map(|at| &part[at..]));
    statements.map(|statement| statement.replacen("INDEX", "INDEX CONCURRENTLY", 1)).collect()
}

/// A number that differs between two stores in one database.
pub(super) const STORE_NUMBER: &str = "SELECT CAST(CAST('credentials' AS regclass) AS oid)";

/// Subscribes to the notifications of this store.
pub(super) fn listen(number: u32) -> String {
    format!("LISTEN \"{}\"", notify_channel(number))
}

/// The channel for the notifications of this store.
pub(super) fn notify_channel(number: u32) -> String {
    format!("tower_credentials_{number}")
}

pub(super) const BEGIN: &str = "BEGIN";
pub(super) const COMMIT: &str = "COMMIT";
pub(super) const ROLLBACK: &str = "ROLLBACK";
pub(super) const PING: &str = "SELECT 1";

// The schema. Starting servers lock the only row of `credential_store` in turn.

pub(super) const TABLES: &str = "SELECT table_name FROM information_schema.tables
    WHERE table_schema = current_schema()
    AND table_name IN ('credentials', 'credential_owners', 'credential_store')";
pub(super) const CREATE_STORE: &str = "CREATE TABLE IF NOT EXISTS credential_store (
    one INTEGER NOT NULL PRIMARY KEY, version BIGINT NOT NULL)";
pub(super) const FIRST_VERSION: &str =
    "INSERT INTO credential_store (one, version) VALUES (1, 0) ON CONFLICT DO NOTHING";
pub(super) const VERSION: &str = "SELECT version FROM credential_store WHERE one = 1";
pub(super) const LOCKED_VERSION: &str =
    "SELECT version FROM credential_store WHERE one = 1 FOR UPDATE";
pub(super) fn set_version(version: i64) -> String {
    format!("UPDATE credential_store SET version = {version} WHERE one = 1")
}

// Reads.

static SELECT: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM credentials", columns("")));
/// The marker of a record in a list by key, as the indexes have it.
const MARKER: &str = "(CASE WHEN access_key IS NULL THEN 'i' || id ELSE 'a' || access_key END)";

pub(super) static BY_MARKER: LazyLock<String> =
    LazyLock::new(|| format!("{} WHERE {MARKER} = $1", *SELECT));
pub(super) static BY_ID: LazyLock<String> = LazyLock::new(|| format!("{} WHERE id = $1", *SELECT));
pub(super) static BY_SLOT: LazyLock<String> =
    LazyLock::new(|| format!("{} WHERE user_id = $1 AND slot = $2 AND slot IS NOT NULL", *SELECT));
pub(super) static BY_IDS: LazyLock<String> =
    LazyLock::new(|| format!("{} WHERE id = ANY($1::text[])", *SELECT));
pub(super) const LAST_USED: &str = "SELECT id, last_used FROM credentials
    WHERE id = ANY($1::text[]) AND last_used IS NOT NULL";

/// Whose records a list shows. Selects the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Nobody,
    Project,
    User,
}

/// The parts of a list query that change its SQL.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    pub(super) order: Order,
    pub(super) owner: Owner,
    pub(super) after: bool,
    pub(super) before: bool,
}

/// Reads one page. Parameters: the owner and the markers, as far as given; then how many rows
/// to examine, the type, the user and the project to filter by, or NULL, how many bytes to
/// return, and how many rows. A marker of an expiry is two parameters: the expiry and the id.
///
/// The innermost query walks one index in order and stops. It compares pairs, so that no other
/// index has its order: an index on the marker alone could be walked from end to end for an
/// owner with few records. The next query applies the filters, and the next one sums up the
/// lengths of the rows that passed. Rows beyond what the page can hold are returned without
/// their material, only to show that they exist. So are the last examined row, for its marker,
/// and the one after it.
pub(super) fn list(of: List) -> String {
    let column = match of.order {
        Order::ExpiresAt => "expires_at",
        Order::Key => MARKER,
    };
    let mut last = 0;
    let mut value = |wanted: bool| {
        last += i32::from(wanted);
        if wanted { format!("${last}") } else { String::new() }
    };
    let owner = match of.owner {
        Owner::Nobody => None,
        Owner::Project => Some("project_id"),
        Owner::User => Some("user_id"),
    };
    let id = value(owner.is_some());
    let mut marker = |wanted: bool| match of.order {
        Order::ExpiresAt if wanted => format!("({}, {})", value(true), value(true)),
        _ => value(wanted),
    };
    let (after, before) = (marker(of.after), marker(of.before));
    let mut conditions = vec![format!("{column} IS NOT NULL")];
    let order = if let Some(owner) = owner {
        let (pair, not_null) = (format!("({owner}, {column})"), format!("{owner} IS NOT NULL"));
        let from =
            if of.after { format!("{pair} > ({id}, {after})") } else { format!("{owner} >= {id}") };
        let to = if of.before {
            format!("{pair} < ({id}, {before})")
        } else {
            format!("{owner} <= {id}")
        };
        conditions.extend([not_null, from, to]);
        format!("{owner}, {column}")
    } else {
        // Few records have an expiry: the filters select among them.
        let (place, order) = match of.order {
            Order::ExpiresAt => ("(expires_at, id)", "expires_at, id"),
            Order::Key => (column, column),
        };
        conditions.extend(of.after.then(|| format!("{place} > {after}")));
        conditions.extend(of.before.then(|| format!("{place} < {before}")));
        order.to_owned()
    };
    let (columns, conditions) = (columns(""), conditions.join(" AND "));
    let [examined, kind, user, project, bytes, rows] = [(); 6].map(|()| value(true));
    let sent = COLUMNS.map(|column| match column {
        "material" | "attributes" | "terms" => {
            format!("CASE WHEN passes AND coalesce(before, 0) < {bytes} THEN {column} END")
        }
        column => column.to_owned(),
    });
    let sent = sent.join(", ");
    // The outer queries see that the rows come in order if they sort by a column.
    let (walked_order, order) = (order.clone(), order.replace(MARKER, "marker"));
    format!(
        "SELECT {sent}, row_no, passes FROM (
            SELECT *, sum(CASE WHEN passes
                THEN octet_length(material) + octet_length(attributes)
                    + coalesce(octet_length(terms), 0) ELSE 0 END)
                OVER (ORDER BY {order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
            FROM (
                SELECT *, row_number() OVER (ORDER BY {order}) AS row_no,
                    ({kind}::text IS NULL OR kind = {kind})
                    AND ({user}::text IS NULL OR user_id = {user})
                    AND ({project}::text IS NULL OR coalesce(project_id = {project}, false))
                    AS passes
                FROM (
                    SELECT {columns}, {MARKER} AS marker FROM credentials WHERE {conditions}
                    ORDER BY {walked_order} LIMIT {examined}::bigint + 1
                ) AS walked
            ) AS numbered
            WHERE passes OR row_no >= {examined}::bigint
        ) AS measured
        ORDER BY {order} LIMIT {rows}::bigint"
    )
}

// Writes.

/// The rows that a statement takes: an array for each column and for each of these additional
/// numbers.
fn rows(additional: &[&str]) -> String {
    let number =
        |n: usize| if n <= TEXTS { format!("${n}::text[]") } else { format!("${n}::bigint[]") };
    let arrays: Vec<_> = (1..=COLUMNS.len() + additional.len()).map(number).collect();
    let names: Vec<_> = COLUMNS.iter().chain(additional).copied().collect();
    format!("unnest({}) AS v ({})", arrays.join(", "), names.join(", "))
}

/// A statement that writes and returns the ids of the written rows, and the same statement with
/// a notification. The latter takes two additional parameters: the channel and the payloads.
#[derive(Debug)]
pub(super) struct WriteStatement {
    pub(super) plain: String,
    pub(super) notifying: String,
}

impl WriteStatement {
    /// `values` is the number of parameters of the statement.
    fn new(plain: String, values: usize) -> Self {
        let (notify_channel, payloads) = (values + 1, values + 2);
        let notifying = format!(
            "WITH written AS ({plain})
            SELECT id FROM written
            UNION ALL SELECT CAST(pg_notify(${notify_channel}::text, sent.payload) AS text)
            FROM unnest(${payloads}::text[]) AS sent (payload)
            WHERE EXISTS (SELECT 1 FROM written)"
        );
        Self { plain, notifying }
    }
}

pub(super) static INSERT: LazyLock<WriteStatement> = LazyLock::new(|| {
    let (into, from, rows) = (columns(""), columns("v."), rows(&[]));
    let plain = format!(
        "INSERT INTO credentials ({into}) SELECT {from} FROM {rows}
        ON CONFLICT DO NOTHING RETURNING id"
    );
    WriteStatement::new(plain, COLUMNS.len())
});

/// Locks these users until the end of the transaction, so that their records are counted by one
/// transaction at a time. The users must be sorted, so that no two transactions deadlock.
pub(super) const LOCK_OWNERS: &str = "INSERT INTO credential_owners (user_id)
    SELECT user_id FROM unnest($1::text[]) AS v (user_id)
    ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id";

/// Inserts the rows that the quotas admit. Additional parameters: for each row its user's quota,
/// or NULL, and the number of earlier rows of the same user; and up to which number to count.
/// Returns for each row its id, whether it was written, whether the quota admitted it, and how
/// many records its user had before.
pub(super) static INSERT_LIMITED: LazyLock<String> = LazyLock::new(|| {
    let (into, from, rows) = (columns(""), columns("w."), rows(&["most", "before"]));
    let most = COLUMNS.len() + 3;
    format!(
        "WITH wanted AS (SELECT * FROM {rows}),
        held AS (
            SELECT user_id, (SELECT count(*) FROM (
                SELECT 1 FROM credentials AS c WHERE c.user_id = u.user_id
                LIMIT ${most}::bigint) AS few) AS held
            FROM (SELECT DISTINCT user_id FROM wanted WHERE most IS NOT NULL) AS u
        ),
        written AS (
            INSERT INTO credentials ({into})
            SELECT {from} FROM wanted AS w LEFT JOIN held AS h ON h.user_id = w.user_id
            WHERE w.most IS NULL OR h.held + w.before < w.most
            ON CONFLICT DO NOTHING RETURNING id
        )
        SELECT w.id, d.id IS NOT NULL, w.most IS NULL OR h.held + w.before < w.most,
            coalesce(h.held, 0)
        FROM wanted AS w LEFT JOIN held AS h ON h.user_id = w.user_id
        LEFT JOIN written AS d ON d.id = w.id"
    )
});

// Changed rows are selected twice. The condition on the ids alone ensures that no join strategy
// reads the whole table.

/// Additional parameter: the expected versions.
pub(super) static UPDATE: LazyLock<WriteStatement> = LazyLock::new(|| {
    let set: Vec<_> = COLUMNS[1..].iter().map(|column| format!("{column} = v.{column}")).collect();
    let (set, rows) = (set.join(", "), rows(&["expected"]));
    let plain = format!(
        "UPDATE credentials AS c SET {set} FROM {rows}
        WHERE c.id = ANY($1::text[]) AND c.id = v.id AND c.version = v.expected RETURNING c.id"
    );
    WriteStatement::new(plain, COLUMNS.len() + 1)
});

/// Locks a record if it has this version, and returns how many records a user has. Parameters:
/// id and version; the user, and up to which number to count.
pub(super) const LOCK_RECORD: &str = "SELECT (SELECT count(*) FROM (
        SELECT 1 FROM credentials AS h WHERE h.user_id = $3 LIMIT $4::bigint) AS few)
    FROM credentials AS c WHERE c.id = $1 AND c.version = $2 FOR UPDATE OF c";

/// NULL as the version matches any version.
pub(super) static DELETE: LazyLock<WriteStatement> = LazyLock::new(|| {
    let plain = "DELETE FROM credentials AS c
        USING unnest($1::text[], $2::bigint[]) AS v (id, expected)
        WHERE c.id = ANY($1::text[]) AND c.id = v.id
        AND c.version = coalesce(v.expected, c.version) RETURNING c.id";
    WriteStatement::new(plain.into(), 2)
});

/// Returns which of these versions are stored. Rewrites them unchanged, so that the commit waits
/// until they are as durable as any other write, also on synchronous standbys.
pub(super) const CONFIRM: &str = "UPDATE credentials AS c SET version = c.version
    FROM unnest($1::text[], $2::bigint[]) AS v (id, version)
    WHERE c.id = v.id AND c.version = v.version RETURNING c.id";

pub(super) const PURGE_PROJECT: &str = "DELETE FROM credentials WHERE project_id = $1";
pub(super) const PURGE_USER: &str = "DELETE FROM credentials WHERE user_id = $1";

/// Rows with a later use are not changed.
pub(super) const RECORD_USES: &str = "UPDATE credentials AS c SET last_used = v.last_used
    FROM unnest($1::text[], $2::bigint[]) AS v (id, last_used)
    WHERE c.id = ANY($1::text[]) AND c.id = v.id
    AND (c.last_used IS NULL OR c.last_used < v.last_used)";

pub(super) const NOTIFY: &str =
    "SELECT pg_notify($1::text, sent.payload) FROM unnest($2::text[]) AS sent (payload)";

/// Sends a notification that no session listens to. Fails on an engine without notifications.
pub(super) const TRY_NOTIFY: &str = "SELECT pg_notify('tower_credentials_try', '')";

/// Stores new rows, all or none.
pub(super) static COPY: LazyLock<String> =
    LazyLock::new(|| format!("COPY credentials ({}) FROM STDIN (FORMAT binary)", columns("")));

fn columns(prefix: &str) -> String {
    COLUMNS.map(|column| format!("{prefix}{column}")).join(", ")
}
