import type { DatabaseSync } from 'node:sqlite'
import { moveUsageByMonth } from './move-usage-by-month.ts'
import { addTokenColumn } from './scoped-tokens.ts'
import { createViews } from './usage-partitions.ts'

/** One step of the schema. Steps are numbered from 1, run in order, forward only, each in a transaction. */
export interface Migration {
  readonly name: string
  readonly sql: string
  /** What SQL alone cannot say; runs after it, in the same transaction. */
  readonly run?: (database: DatabaseSync) => void
}

/**
 * Money is nanodollars and prices are picodollars per token, both signed 64-bit integers. Ids that repeat a million times
 * (accounts, keys, models, upstreams, prices) are interned in `names`. Request ids sort by time, so tables keyed by them are
 * appended to, and an index that ends in one is an index by time.
 */
export const MIGRATIONS: readonly Migration[] = [
  {
    name: 'books',
    sql: `
      CREATE TABLE names (n INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
      CREATE TABLE orgs (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, disabled INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)), created_ms INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE api_keys (
        id TEXT PRIMARY KEY, org_id TEXT NOT NULL REFERENCES orgs (id), name TEXT NOT NULL, hash TEXT NOT NULL UNIQUE, hint TEXT NOT NULL,
        cap_nanodollars INTEGER CHECK (cap_nanodollars >= 0), created_ms INTEGER NOT NULL, expires_ms INTEGER, revoked_ms INTEGER
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE models (id TEXT PRIMARY KEY, document TEXT NOT NULL CHECK (json_valid(document))) STRICT, WITHOUT ROWID;
      CREATE TABLE prices (
        id TEXT PRIMARY KEY, seq INTEGER NOT NULL UNIQUE, model_id TEXT NOT NULL, from_ms INTEGER NOT NULL, to_ms INTEGER,
        input_picodollars INTEGER NOT NULL CHECK (input_picodollars >= 0),
        cached_input_picodollars INTEGER NOT NULL CHECK (cached_input_picodollars >= 0),
        output_picodollars INTEGER NOT NULL CHECK (output_picodollars >= 0),
        request_picodollars INTEGER NOT NULL CHECK (request_picodollars >= 0)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE balances (account INTEGER PRIMARY KEY REFERENCES names (n), nanodollars INTEGER NOT NULL) STRICT;
      CREATE TABLE key_spent (key INTEGER PRIMARY KEY REFERENCES names (n), nanodollars INTEGER NOT NULL CHECK (nanodollars >= 0)) STRICT;
      CREATE TABLE transfers (
        id TEXT PRIMARY KEY, debit INTEGER NOT NULL, credit INTEGER NOT NULL CHECK (credit <> debit),
        nanodollars INTEGER NOT NULL CHECK (nanodollars > 0), kind TEXT NOT NULL CHECK (kind IN ('credit', 'charge', 'overrun')),
        request_id TEXT, at_ms INTEGER NOT NULL, memo TEXT
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX transfers_credit ON transfers (credit, id) WHERE kind = 'credit';
      CREATE TRIGGER transfers_no_update BEFORE UPDATE ON transfers BEGIN SELECT RAISE(ABORT, 'transfers are never changed'); END;
      CREATE TRIGGER transfers_no_delete BEFORE DELETE ON transfers BEGIN SELECT RAISE(ABORT, 'transfers are never deleted'); END;
      CREATE TABLE usage (
        request_id TEXT PRIMARY KEY, org INTEGER NOT NULL, key INTEGER NOT NULL, model INTEGER NOT NULL, protocol INTEGER NOT NULL,
        stream INTEGER NOT NULL, upstream INTEGER NOT NULL, attempts INTEGER NOT NULL, ending TEXT NOT NULL,
        input INTEGER NOT NULL CHECK (input >= 0), input_source INTEGER NOT NULL,
        cached INTEGER NOT NULL CHECK (cached BETWEEN 0 AND input), cached_source INTEGER NOT NULL,
        written INTEGER NOT NULL CHECK (written BETWEEN 0 AND input), written_source INTEGER NOT NULL,
        output INTEGER NOT NULL CHECK (output >= 0), output_source INTEGER NOT NULL,
        reasoning INTEGER NOT NULL CHECK (reasoning BETWEEN 0 AND output), reasoning_source INTEGER NOT NULL,
        price INTEGER NOT NULL, charge INTEGER NOT NULL CHECK (charge BETWEEN 0 AND held), overrun INTEGER NOT NULL CHECK (overrun >= 0),
        held INTEGER NOT NULL, admitted_ms INTEGER NOT NULL, settled_ms INTEGER NOT NULL, ttft_us INTEGER, duration_us INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX usage_by_key ON usage (org, key, request_id);
      CREATE TABLE rollups (
        hour INTEGER NOT NULL, org INTEGER NOT NULL, key INTEGER NOT NULL, model INTEGER NOT NULL, upstream INTEGER NOT NULL,
        price INTEGER NOT NULL, ending TEXT NOT NULL, requests INTEGER NOT NULL, input INTEGER NOT NULL, cached INTEGER NOT NULL,
        output INTEGER NOT NULL, charge INTEGER NOT NULL,
        PRIMARY KEY (hour, org, key, model, upstream, price, ending)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE admissions (
        request_id TEXT PRIMARY KEY, org TEXT NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, held INTEGER NOT NULL, admitted_ms INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE interrupted (
        request_id TEXT PRIMARY KEY, org TEXT NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, held INTEGER NOT NULL, admitted_ms INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;
    `,
  },
  {
    name: 'append-only rows, usage by time, keys by org',
    sql: `
      CREATE TRIGGER usage_no_update BEFORE UPDATE ON usage BEGIN SELECT RAISE(ABORT, 'usage rows are never changed'); END;
      CREATE TRIGGER usage_no_delete BEFORE DELETE ON usage BEGIN SELECT RAISE(ABORT, 'usage rows are never deleted'); END;
      CREATE TRIGGER prices_no_update BEFORE UPDATE OF id, seq, model_id, from_ms, input_picodollars, cached_input_picodollars,
        output_picodollars, request_picodollars ON prices BEGIN SELECT RAISE(ABORT, 'prices are never changed'); END;
      CREATE TRIGGER prices_close_once BEFORE UPDATE OF to_ms ON prices WHEN OLD.to_ms IS NOT NULL
        BEGIN SELECT RAISE(ABORT, 'a price that has an end keeps it'); END;
      CREATE TRIGGER prices_no_delete BEFORE DELETE ON prices BEGIN SELECT RAISE(ABORT, 'prices are never deleted'); END;
      CREATE INDEX usage_by_time ON usage (settled_ms);
      DROP INDEX usage_by_key;
      CREATE INDEX usage_by_key ON usage (key, request_id);
      CREATE INDEX api_keys_by_org ON api_keys (org_id);
    `,
  },
  {
    name: 'usage by month, which is also the transfer of its charge',
    sql: `
      ALTER TABLE usage RENAME TO old_usage;
      ALTER TABLE transfers RENAME TO old_transfers;
      DROP TRIGGER transfers_no_update; DROP TRIGGER transfers_no_delete; DROP INDEX transfers_credit;
      DROP TRIGGER usage_no_update; DROP TRIGGER usage_no_delete; DROP INDEX usage_by_time; DROP INDEX usage_by_key;
      CREATE TABLE posted_transfers (
        id TEXT PRIMARY KEY, debit INTEGER NOT NULL, credit INTEGER NOT NULL CHECK (credit <> debit),
        nanodollars INTEGER NOT NULL CHECK (nanodollars > 0), kind TEXT NOT NULL, request_id TEXT, at_ms INTEGER NOT NULL, memo TEXT
      ) STRICT, WITHOUT ROWID;
      INSERT INTO posted_transfers SELECT * FROM old_transfers WHERE kind = 'credit';
      CREATE INDEX posted_transfers_credit ON posted_transfers (credit, at_ms);
      CREATE INDEX posted_transfers_debit ON posted_transfers (debit, at_ms);
      CREATE TABLE closed_months (
        name TEXT PRIMARY KEY, from_hour INTEGER NOT NULL, to_hour INTEGER NOT NULL, requests INTEGER NOT NULL, closed_ms INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;
      CREATE TRIGGER posted_transfers_no_update BEFORE UPDATE ON posted_transfers
        BEGIN SELECT RAISE(ABORT, 'transfers are never changed'); END;
      CREATE TRIGGER posted_transfers_no_delete BEFORE DELETE ON posted_transfers
        BEGIN SELECT RAISE(ABORT, 'transfers are never deleted'); END;
    `,
    run: moveUsageByMonth,
  },
  {
    name: 'projects and limits',
    sql: `
      CREATE TABLE projects (
        id TEXT PRIMARY KEY, org_id TEXT NOT NULL REFERENCES orgs (id), name TEXT NOT NULL, created_ms INTEGER NOT NULL, UNIQUE (org_id, name)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE limits (id TEXT PRIMARY KEY, document TEXT NOT NULL CHECK (json_valid(document))) STRICT, WITHOUT ROWID;
      ALTER TABLE api_keys ADD COLUMN project_id TEXT REFERENCES projects (id);
    `,
  },
  {
    // A class without a price of its own is null. The terms (windows, steps, tiers, margin) are a document in its one canonical form.
    name: 'prices as a calendar',
    sql: `
      ALTER TABLE orgs ADD COLUMN price_group TEXT;
      ALTER TABLE prices ADD COLUMN price_group TEXT;
      ALTER TABLE prices ADD COLUMN cache_write_picodollars INTEGER CHECK (cache_write_picodollars >= 0);
      ALTER TABLE prices ADD COLUMN reasoning_picodollars INTEGER CHECK (reasoning_picodollars >= 0);
      ALTER TABLE prices ADD COLUMN search_unit_picodollars INTEGER CHECK (search_unit_picodollars >= 0);
      ALTER TABLE prices ADD COLUMN terms TEXT CHECK (terms IS NULL OR json_valid(terms));
      DROP TRIGGER prices_no_update;
      CREATE TRIGGER prices_no_update BEFORE UPDATE OF id, seq, model_id, from_ms, input_picodollars, cached_input_picodollars,
        output_picodollars, request_picodollars, price_group, cache_write_picodollars, reasoning_picodollars, search_unit_picodollars,
        terms ON prices BEGIN SELECT RAISE(ABORT, 'prices are never changed'); END;
      CREATE INDEX prices_by_model ON prices (model_id, price_group, from_ms);
    `,
  },
  {
    name: 'answers stored for idempotency keys',
    sql: `
      CREATE TABLE stored_answers (
        id INTEGER PRIMARY KEY, key_hash TEXT NOT NULL UNIQUE, fingerprint TEXT NOT NULL, request_id TEXT NOT NULL, status INTEGER NOT NULL,
        headers TEXT NOT NULL CHECK (json_valid(headers)), deflated INTEGER NOT NULL CHECK (deflated IN (0, 1)),
        bytes INTEGER NOT NULL CHECK (bytes = length(body)), settled_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, body BLOB NOT NULL
      ) STRICT;
      CREATE INDEX stored_answers_by_end ON stored_answers (expires_ms, bytes);
    `,
  },
  {
    name: 'webhook deliveries and payment events',
    sql: `
      CREATE TABLE webhook_deliveries (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, endpoint TEXT NOT NULL, type TEXT NOT NULL, body TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')), tries INTEGER NOT NULL, created_ms INTEGER NOT NULL,
        since_ms INTEGER NOT NULL, next_ms INTEGER NOT NULL, tried_ms INTEGER, outcome TEXT NOT NULL, UNIQUE (id, endpoint)
      ) STRICT;
      CREATE INDEX webhook_deliveries_by_endpoint ON webhook_deliveries (endpoint, state, seq);
      CREATE TABLE payment_events (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL, org TEXT,
        payment TEXT, nanodollars INTEGER, at_ms INTEGER NOT NULL, received_ms INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX payment_events_by_payment ON payment_events (payment) WHERE payment IS NOT NULL;
      CREATE INDEX payment_events_of_nobody ON payment_events (seq) WHERE org IS NULL AND kind = 'ignored';
    `,
  },
  {
    name: 'grants that end, and who made a transfer',
    sql: `
      ALTER TABLE posted_transfers ADD COLUMN actor TEXT;
      ALTER TABLE posted_transfers ADD COLUMN grant_id TEXT;
      ALTER TABLE posted_transfers ADD COLUMN charged INTEGER;
      CREATE INDEX posted_transfers_grant ON posted_transfers (grant_id) WHERE grant_id IS NOT NULL;
      CREATE TABLE grants (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE REFERENCES posted_transfers (id), account INTEGER NOT NULL,
        amount INTEGER NOT NULL CHECK (amount > 0), remaining INTEGER NOT NULL CHECK (remaining BETWEEN 0 AND amount), expires_ms INTEGER
      ) STRICT;
      CREATE INDEX grants_open ON grants (account) WHERE remaining > 0;
      CREATE INDEX grants_due ON grants (expires_ms) WHERE remaining > 0;
      CREATE TRIGGER grants_no_update BEFORE UPDATE OF seq, id, account, amount, expires_ms ON grants
        BEGIN SELECT RAISE(ABORT, 'of a grant only what is left changes'); END;
      CREATE TRIGGER grants_only_fall BEFORE UPDATE OF remaining ON grants WHEN NEW.remaining > OLD.remaining
        BEGIN SELECT RAISE(ABORT, 'what is left of a grant never grows'); END;
      CREATE TRIGGER grants_no_delete BEFORE DELETE ON grants BEGIN SELECT RAISE(ABORT, 'grants are never deleted'); END;
    `,
  },
  {
    name: 'documents that are kept for an org: responses, files, batches',
    sql: `
      CREATE TABLE kept_documents (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, org TEXT NOT NULL, id TEXT NOT NULL CHECK (length(id) BETWEEN 1 AND 255),
        key TEXT NOT NULL, parent TEXT, state TEXT NOT NULL, created_ms INTEGER NOT NULL, expires_ms INTEGER,
        deflated INTEGER NOT NULL CHECK (deflated IN (0, 1)), body BLOB NOT NULL, UNIQUE (kind, org, id)
      ) STRICT;
      CREATE INDEX kept_documents_by_end ON kept_documents (expires_ms) WHERE expires_ms IS NOT NULL;
      CREATE INDEX kept_documents_by_parent ON kept_documents (parent, kind, seq) WHERE parent IS NOT NULL;
      CREATE INDEX kept_documents_by_org ON kept_documents (kind, org, seq);
      CREATE INDEX kept_documents_by_state ON kept_documents (kind, state, seq);
    `,
  },
  {
    name: 'tokens derived from API keys, and keys for some models alone',
    // Ids begin with the time, so that they sort by it. What closed months carry over is what was spent with each token in them.
    sql: `
      ALTER TABLE api_keys ADD COLUMN models TEXT CHECK (models IS NULL OR json_valid(models));
      CREATE TABLE scoped_tokens (
        id TEXT PRIMARY KEY, org_id TEXT NOT NULL REFERENCES orgs (id), key_id TEXT NOT NULL REFERENCES api_keys (id),
        models TEXT CHECK (models IS NULL OR json_valid(models)), limit_nanodollars INTEGER CHECK (limit_nanodollars > 0),
        created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, revoked_ms INTEGER
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX scoped_tokens_by_end ON scoped_tokens (expires_ms);
      CREATE TABLE token_spent (token INTEGER PRIMARY KEY REFERENCES names (n), nanodollars INTEGER NOT NULL CHECK (nanodollars >= 0)) STRICT;
      CREATE TABLE closed_token_charges (
        month TEXT NOT NULL, token INTEGER NOT NULL, nanodollars INTEGER NOT NULL CHECK (nanodollars > 0), PRIMARY KEY (month, token)
      ) STRICT, WITHOUT ROWID;
    `,
    run: database => {
      addTokenColumn(database)
      createViews(database)
    },
  },
  {
    // They stand in bits of `facts` that were 0 before.
    name: 'search units of reranks',
    sql: '',
    run: createViews,
  },
  {
    name: 'what the kept responses and chat completions of each org take',
    // 512 bytes stand for a document's row and its entries in the indexes. Nothing here can refuse a row, as settlements write some.
    sql: `
      CREATE TABLE kept_bytes (org TEXT PRIMARY KEY, bytes INTEGER NOT NULL) STRICT, WITHOUT ROWID;
      INSERT INTO kept_bytes SELECT org, sum(length(body) + 512) FROM kept_documents
        WHERE kind IN ('response', 'response_item', 'chat_completion') GROUP BY org;
      CREATE TRIGGER kept_bytes_insert AFTER INSERT ON kept_documents WHEN NEW.kind IN ('response', 'response_item', 'chat_completion')
        BEGIN INSERT INTO kept_bytes VALUES (NEW.org, length(NEW.body) + 512) ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes; END;
      CREATE TRIGGER kept_bytes_update AFTER UPDATE OF body ON kept_documents WHEN NEW.kind IN ('response', 'response_item', 'chat_completion')
        BEGIN UPDATE kept_bytes SET bytes = bytes + length(NEW.body) - length(OLD.body) WHERE org = NEW.org; END;
      CREATE TRIGGER kept_bytes_delete AFTER DELETE ON kept_documents WHEN OLD.kind IN ('response', 'response_item', 'chat_completion')
        BEGIN UPDATE kept_bytes SET bytes = bytes - length(OLD.body) - 512 WHERE org = OLD.org; END;
      CREATE INDEX kept_documents_to_trim ON kept_documents (org, seq) WHERE kind IN ('response', 'response_item', 'chat_completion')
        AND NOT (kind = 'response' AND state IN ('queued', 'in_progress'));
    `,
  },
]
