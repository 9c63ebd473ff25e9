"""Settings of a process, read once from the environment (ONEFOLD_…, DATABASE_URL, REDIS_URL, BROKER_URL) and frozen."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import quote, urlsplit

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app import sentinels, server_urls
from app.secret_settings import SECRET_NAMES, SecretFiles, basic_auth_problem, token_problem, variables

#: The embedded database, in the data directory.
DATABASE_NAME: Final = "onefold.db"
#: Numbers have an end, so that none is too large for a database, a clock or a timer.
Count = Annotated[int, Field(le=2**31 - 1)]
Size = Annotated[float, Field(le=1_000_000_000)]
Seconds = Annotated[float, Field(le=100_000_000)]
Hours = Annotated[float, Field(le=876_000)]
Days = Annotated[float, Field(le=36_500)]


class Settings(BaseSettings):
    """Where things are. With nothing set, everything lives below `data_dir`: SQLite and a private Valkey."""

    model_config = SettingsConfigDict(
        env_prefix="ONEFOLD_",
        env_ignore_empty=True,  # an empty variable sets nothing
        frozen=True,
        extra="ignore",
        allow_inf_nan=False,
        hide_input_in_errors=True,  # it may be a password
    )

    #: In production some things are refused that are harmless on a laptop: see app/cli/production.py.
    env: Literal["development", "production"] = "development"
    data_dir: Path = Path("var")
    #: postgresql://… ; empty = SQLite in data_dir.
    database_url: str = Field("", validation_alias=AliasChoices("DATABASE_URL", "ONEFOLD_DATABASE_URL"))
    #: The same database for workers and sweepers, with another role; empty = DATABASE_URL.
    worker_database_url: str = Field(
        "", validation_alias=AliasChoices("WORKER_DATABASE_URL", "ONEFOLD_WORKER_DATABASE_URL")
    )
    #: redis://…, rediss://…, redis+sentinel://…, rediss+sentinel://… or unix://… for quotas and doorbells; empty = the
    #: embedded server in data_dir.
    redis_url: str = Field("", validation_alias=AliasChoices("REDIS_URL", "ONEFOLD_REDIS_URL"))
    #: Celery's broker when it is not the same Redis, for instance amqp://… .
    broker_url: str = Field("", validation_alias=AliasChoices("BROKER_URL", "ONEFOLD_BROKER_URL"))
    #: Put before every key in Redis.
    key_prefix: str = "onefold:"
    #: Part of a quota that one API process hands out by itself while Redis is away.
    quota_local_share: float = Field(0.5, ge=0, le=1)
    #: How long a request waits for Redis to count it, before that share decides.
    quota_timeout_seconds: Seconds = Field(0.05, gt=0, le=1)
    #: Whether answers also carry the IETF's RateLimit and RateLimit-Policy.
    ietf_ratelimit_headers: bool = False
    #: How long the API may keep a key and the limits of its workspace: a change is seen, and a revoked key refused, at
    #: most this much later.
    key_cache_seconds: Seconds = Field(4.0, ge=0)
    #: Counts of calls by key, endpoint and status are kept so long, and so many of them of a workspace.
    usage_hours: Count = Field(48, ge=2, le=24 * 400)
    max_usage_rows: Count = Field(200_000, ge=1_000)
    #: Requests without a valid key that one address may send to one API process in a minute; 0 = any number.
    failures_per_minute: Count = Field(600, ge=0)
    #: Requests in a second above which a workspace cannot raise a limit of its own (PUT /v1/limits); 0 = any.
    limit_ceiling_per_second: Count = Field(10_000, ge=0)
    #: Proxies whose X-Forwarded-For is believed: addresses and CIDR blocks, with commas between them.
    trusted_proxies: str = ""
    #: PostgreSQL ends a statement, a wait for a lock and an idle transaction of ours after this long.
    database_timeout_seconds: Seconds = Field(15.0, gt=0, le=86_400)
    #: How long commands wait for another process that is migrating the database.
    migrate_wait_seconds: Seconds = Field(3600.0, ge=0)
    #: What takes longer is answered 503. Clients give up after 2 s, so this is less.
    answer_seconds: Seconds = Field(1.8, gt=0)
    #: How long an export waits for writes accepted before it.
    read_wait_seconds: Seconds = Field(1.0, ge=0)
    #: How long an answer may wait until its request is applied, where it tells what came of it.
    sync_wait_seconds: Seconds = Field(10.0, ge=0)
    #: A body that takes longer to arrive is answered 408.
    receive_timeout_seconds: Seconds = Field(10.0, gt=0)
    #: The same for a request's line and headers, from the first byte on or from the connection's start.
    head_timeout_seconds: Seconds = Field(10.0, gt=0)
    #: A connection is closed when less than 64 KB of a waiting answer is taken in this time.
    send_timeout_seconds: Seconds = Field(10.0, gt=0)
    #: A connection without a request is kept this long.
    keep_alive_seconds: Count = Field(65, ge=0)
    #: Connections that one API process holds, altogether and from one address that is no trusted proxy.
    max_connections: Count = Field(2_048, ge=1)
    max_connections_per_address: Count = Field(512, ge=1)
    #: Whether the API serves /openapi.json and /docs, to anybody.
    docs: bool = False
    #: Whether the API serves the console, at /console, with the role of the owner of the schema. `onefold up` does.
    console: bool = False
    #: Where people find Flower, for a link of the console; empty = no link. `onefold up` sets it.
    flower_url: str = Field("", pattern=r"^(https?://\S+)?$")
    #: A log-in of the console ends so long after its last use; and after seven days.
    console_session_hours: Hours = Field(12.0, gt=0)
    #: Attempts to log in to the console in a minute: of an account, and twice as many of an address.
    console_logins_per_minute: Count = Field(10, ge=1)
    #: How long it is known what accounts of the console did, and how many acts of all of them.
    console_act_days: Days = Field(400.0, gt=0)
    console_acts: Count = Field(100_000, ge=1)
    #: SDK key of the app whose shop is served under /demo, to browsers of this machine; empty = no shop. `onefold up
    #: --demo` sets it.
    demo_sdk_key: str = ""
    #: Whether the API serves /v1/test, by which whoever has a key makes its workspace begin anew. `onefold up --test`
    #: sets it; nothing is sacred then.
    test_mode: bool = False
    #: Requests that one API process has in hand at once, and megabytes of their bodies and answers; beyond it 503.
    #: A workspace gets at most half of what the others leave.
    max_requests: Count = Field(1_000, ge=2)
    max_megabytes_in_hand: Count = Field(96, ge=16)
    #: A larger answer is sent in parts, each of which is read when the one before it was taken.
    stream_megabytes: Size = Field(8.0, ge=0)
    #: Requests of one address whose body has to be read to find the key in it (see `legacy_api_key_auth`).
    max_unknown_requests_per_address: Count = Field(16, ge=1)
    #: JSON values, objects and arrays among them, that the body of one request may have; more are 413.
    max_json_values: Count = Field(250_000, ge=1_000)
    #: Calls of the database that one API process has at once. A workspace gets at most half of what the others leave.
    store_threads: Count = Field(8, ge=2)
    #: Nodes of Citus that one API process writes requests to at once. Each takes a connection.
    node_writers: Count = Field(4, ge=1)
    #: A stream of a workspace with more queued requests, or older ones, takes no more; 0 = no limit.
    backlog_requests: Count = Field(1_000_000, ge=0)
    backlog_seconds: Seconds = Field(6 * 3600, ge=0)
    backlog_bulk_seconds: Seconds = Field(24 * 3600, ge=0)
    #: Profiles that a worker loads at once, in megabytes of their size; in memory they take three to ten times as much.
    loaded_megabytes: Size = Field(16.0, ge=1)
    #: Memory of a worker for pages of the SQLite file, in megabytes.
    sqlite_cache_megabytes: Size = Field(64.0, ge=1)
    #: Memory of a worker for profiles that stay there from one batch of a backlog to the next, in megabytes, about.
    resident_megabytes: Size = Field(64.0, ge=0)
    #: Subscription groups that one workspace may have.
    max_subscription_groups: Count = Field(500, ge=1)
    #: Apps of a workspace.
    max_apps: Count = Field(100, ge=1)
    #: Series of a workspace: names of events and products that are counted by day and hour, for each app.
    max_series: Count = Field(10_000, ge=2)
    #: Batches of SDK data in a minute, in each API process: of a device, an address and an app; 0 = any number.
    sdk_batches_per_device: Count = Field(120, ge=0)
    sdk_batches_per_address: Count = Field(6_000, ge=0)
    sdk_batches_per_app: Count = Field(0, ge=0)
    #: Of one batch of SDK data: its size, and its records.
    max_sdk_batch_kilobytes: Count = Field(256, ge=1, le=4_096)
    max_sdk_records: Count = Field(500, ge=1, le=2_000)
    #: Of what tracking SDKs send: the size of a batch, and of one call in it.
    max_tracking_batch_kilobytes: Count = Field(500, ge=1, le=4_096)
    max_tracking_call_kilobytes: Count = Field(32, ge=1, le=4_096)
    #: Message ids that are remembered of an app, for seven days at most.
    max_message_ids: Count = Field(1_000_000, ge=1)
    #: Segments of a workspace.
    max_segments: Count = Field(500, ge=1)
    #: How long a segment may be counted for an answer: the preview, and why somebody is in it.
    segment_seconds: Seconds = Field(10.0, gt=0)
    #: PostgreSQL: what segments are counted from goes so long after a workspace had one, or asked for a preview.
    segment_values_days: Days = Field(7.0, ge=0)
    #: `onefold doctor` is red where the last backup is older, in hours; 0 = it does not mind.
    backup_hours: Count = Field(0, ge=0)
    #: SQLite: size at which the log of each of its two files is written back, in megabytes, and which it keeps.
    sqlite_log_megabytes: Size = Field(64.0, ge=1)
    #: PostgreSQL: standbys that commits are to wait for. `onefold doctor` is red, and metrics say so, where there are
    #: fewer; 0 = as many as the server itself says.
    standbys: Count = Field(0, ge=0)
    #: The sweeper looks for work this often.
    sweep_seconds: Seconds = Field(1.0, gt=0)
    #: Applied requests are kept at least this long, for replaying and looking at.
    inbox_retention_hours: Count = Field(24, ge=0, le=876_000)
    #: Applied requests are dropped earlier when the inbox is larger than this; 0 = no limit.
    inbox_retention_gigabytes: Size = Field(20.0, ge=0)
    #: Dead letters that are kept of a workspace, and megabytes of their bodies; beyond it the oldest go.
    dead_letters: Count = Field(100_000, ge=1)
    dead_letter_megabytes: Count = Field(1_024, ge=1)
    #: Refused requests of which a row is kept: of a workspace, for so many days, and in a second in each API process;
    #: what is beyond that is only counted. 0 rows in a second = nothing is kept.
    refused_requests: Count = Field(10_000, ge=1)
    refused_days: Count = Field(30, ge=1, le=36_500)
    refused_per_second: Count = Field(20, ge=0, le=1_000)
    #: Lines of the history of a profile; beyond it the oldest go.
    history_lines: Count = Field(1_000, ge=100)
    #: Days for which it is known that a merge was done, at least until it cannot be undone; and a deletion.
    merge_record_days: Count = Field(400, ge=40, le=36_500)
    deletion_days: Count = Field(400, ge=1, le=36_500)
    #: Names of attributes, events and products that are listed and counted of a workspace.
    catalogue_names: Count = Field(100_000, ge=1)
    #: A request of our own is applied this often, to see that all is well; 0 = never.
    canary_seconds: Seconds = Field(30.0, ge=0)
    #: Where clients reach the API, for the addresses of files: https://onefold.example.org. Empty = where the request
    #: that asked for the file came to.
    public_url: str = Field("", pattern=r"^(https?://\S+)?$")
    #: The directory of files that jobs make, shared by API and job workers; empty = `files` in the data directory.
    files: Path | None = None
    #: Jobs of one workspace that are queued or running.
    max_jobs: Count = Field(20, ge=1)
    #: Runs of merge rules of one workspace that are kept, with what they did; beyond it the oldest go.
    max_merge_runs: Count = Field(400, ge=1)
    #: One attempt at a job may take so long.
    job_seconds: Seconds = Field(3_600.0, gt=0)
    #: A file of a job is served for so long.
    file_hours: Hours = Field(4.0, gt=0)
    #: A workspace with fewer profiles is not archived.
    archival_profiles: Count = Field(250_000, ge=0)
    #: Whether profiles that were made for a push token, and have none any more, are deleted every month.
    token_clean_up: bool = True
    #: Between asking for the deletion of everybody in a segment, and it.
    segment_deletion_days: Days = Field(7.0, ge=0, le=90)
    #: Of one file, and of all files of a workspace.
    max_file_megabytes: Count = Field(4_096, ge=1)
    max_workspace_file_megabytes: Count = Field(16_384, ge=1)
    #: Imported files of a workspace that are remembered, so that each row of them is imported once; beyond it those go
    #: that were imported longest ago.
    max_import_files: Count = Field(1_000, ge=1)
    #: A file that is sent for an import, what comes out of it when it is unpacked, and how long it waits for a job
    #: worker.
    max_import_megabytes: Count = Field(512, ge=1)
    max_import_unpacked_megabytes: Count = Field(16_384, ge=1)
    import_hours: Hours = Field(24.0, gt=0)
    #: Alerts: how often sweepers look at them, how many a workspace may have, how many messages they send in an hour,
    #: and how many are kept.
    alert_seconds: Seconds = Field(5.0, gt=0)
    max_alerts: Count = Field(50, ge=1)
    alert_messages_per_hour: Count = Field(60, ge=1)
    max_alert_messages: Count = Field(1_000, ge=100)
    #: Change webhooks of a workspace; how long a message waits for one that does not take it, and megabytes of all that
    #: wait in a workspace. Beyond it the oldest go.
    max_webhooks: Count = Field(20, ge=1)
    webhook_hours: Hours = Field(72.0, gt=0)
    max_webhook_megabytes: Count = Field(256, ge=1)
    #: People of a workspace of whom it is remembered that they are in the segments of webhooks, in each once.
    max_webhook_members: Count = Field(1_000_000, ge=1)
    #: The mail server that takes the e-mails of alerts; empty = none, and alerts call webhooks alone.
    smtp_host: str = ""
    smtp_port: Count = Field(587, ge=1, le=65_535)
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str = ""
    smtp_password: SecretStr | None = None
    smtp_from: str = ""
    #: For each answer of the mail server.
    smtp_timeout_seconds: Seconds = Field(10.0, gt=0)
    #: Whether calls out, such as callbacks, may go to private and loopback addresses.
    http_allow_private: bool = False
    #: Who has it may read /metrics of the API; empty = nobody.
    metrics_token: SecretStr | None = None
    #: Where the sweeper of `onefold worker` serves metrics; port 0 = nowhere.
    metrics_host: str = "127.0.0.1"
    metrics_port: Count = Field(0, ge=0, le=65_535)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    #: Where traces go, with the extra `otel`: http(s)://… of a collector (OTLP), or file:///…; empty = there are none.
    traces_url: str = Field("", pattern=r"^(https?://\S+|file:///\S+)?$")
    #: The part of the requests that have a trace.
    traces_share: float = Field(1.0, ge=0, le=1)
    #: Size at which a log of `onefold up` begins anew, in megabytes; one older file of each is kept; 0 = it grows.
    log_megabytes: Size = Field(20.0, ge=0)
    #: Linux: whether `onefold up` and `onefold worker` import everything once and fork their processes, or start each
    #: anew, as they do elsewhere.
    fork: bool = True
    #: Made by a worker once it listens for doorbells; empty = none.
    worker_ready_file: str = ""
    #: user:password for Flower.
    flower_basic_auth: SecretStr | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What the environment says, and behind that what is in the files that it names."""
        return (init_settings, env_settings, SecretFiles(settings_cls), dotenv_settings, file_secret_settings)

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_any_case(cls, value: object) -> object:
        return value.casefold() if isinstance(value, str) else value

    @field_validator("metrics_token")
    @classmethod
    def _is_token(cls, value: SecretStr | None) -> SecretStr | None:
        problem = None if value is None else token_problem(value.get_secret_value())
        if problem is not None:
            raise ValueError(problem)
        return value

    @field_validator("flower_basic_auth")
    @classmethod
    def _is_basic_auth(cls, value: SecretStr | None) -> SecretStr | None:
        problem = None if value is None else basic_auth_problem(value.get_secret_value())
        if problem is not None:
            raise ValueError(problem)
        return value

    @field_validator("public_url")
    @classmethod
    def _paths_begin_behind_it(cls, url: str) -> str:
        return url.rstrip("/")

    @field_validator("database_url", "worker_database_url")
    @classmethod
    def _is_of_a_database(cls, url: str) -> str:
        return server_urls.of_database(url)

    @field_validator("redis_url")
    @classmethod
    def _is_of_a_redis(cls, url: str) -> str:
        return server_urls.of_redis(url)

    @field_validator("broker_url")
    @classmethod
    def _is_of_a_broker(cls, url: str) -> str:
        return server_urls.of_broker(url)

    @model_validator(mode="after")
    def _redis_is_a_broker(self) -> "Settings":
        """Where there is no other one. Celery takes less of a URL."""
        if not self.broker_url:
            try:
                server_urls.of_broker(self.redis_url)
            except ValueError as error:
                raise ValueError(f"REDIS_URL, which is also Celery's broker, {error}; or set BROKER_URL") from None
        return self

    @model_validator(mode="after")
    def _mail_has_a_sender(self) -> "Settings":
        """Who sends is not guessed: most servers refuse what they do not know."""
        if self.smtp_host and "@" not in self.smtp_from:
            raise ValueError("ONEFOLD_SMTP_FROM must be an e-mail address where ONEFOLD_SMTP_HOST is set")
        return self

    @property
    def is_production(self) -> bool:
        return self.env == "production"

    def database(self) -> str:
        """The database as a URL, in which the path of a file is quoted."""
        return self.database_url or f"sqlite:///{quote(str(self.data_dir / DATABASE_NAME))}"

    def worker_database(self) -> str:
        """The database as a URL for workers and sweepers."""
        return self.worker_database_url or self.database()

    def clock_file(self) -> Path | None:
        """Test mode: what all its processes go by; None where that is the clock of the machine."""
        return self.data_dir / "clock" if self.test_mode else None

    def files_directory(self) -> Path:
        """Where the files of jobs are."""
        return (self.files or self.data_dir / "files").resolve()

    def redis(self) -> str:
        """Redis as a URL for redis-py. Without REDIS_URL the launcher sets it to the embedded server."""
        return self.redis_url or "redis://127.0.0.1:6379/0"

    def log_bytes(self) -> int:
        """Of the log of each file of SQLite."""
        return int(self.sqlite_log_megabytes * 1_000_000)

    def broker(self) -> str:
        """The broker as a URL for Celery, which spells Unix sockets differently."""
        url = self.broker_url or self.redis()
        if url.startswith("unix://"):
            parts = urlsplit(url)
            database = dict(pair.split("=", 1) for pair in parts.query.split("&") if "=" in pair).get("db", "0")
            return f"redis+socket://{parts.netloc}{parts.path}?virtual_host={database}"
        found = sentinels.parse(url)
        return found.celery_url() if found else url


def unknown(environment: Mapping[str, str]) -> Iterator[str]:
    """A line for each variable of the environment that begins as ours do and sets nothing: it may be misspelt."""
    names = [variables(field_name, field) for field_name, field in Settings.model_fields.items()]
    documented = [each[0] for each in names] + [f"{name}_FILE" for name in SECRET_NAMES]
    known = {name for each in names for name in each}
    known |= {f"{name}_FILE" for each in names if each[0] in SECRET_NAMES for name in each}
    for name in sorted(environment):
        if name.startswith("ONEFOLD_") and name not in known:
            (near,) = get_close_matches(name, documented, 1, 0.8) or ("",)
            yield f"{name} is no setting" + (f": {near}?" if near else "")
