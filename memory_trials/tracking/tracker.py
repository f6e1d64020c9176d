"""Where runs are tracked: its URI, whether anything answers there, and how to name it without its secrets.

Nothing here imports mlflow, which takes seconds.
"""

import importlib.util
import os
import re
import socket
import ssl
import struct
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, quote, quote_plus, unquote, unquote_plus, urlsplit

from memory_trials import files
from memory_trials.errors import UserError
from memory_trials.settings import TrackingSettings

NO_RESULT_DEPENDS_ON_THIS = "it warns where MLflow cannot be reached"

SECONDS = 3  # in which something must answer before training
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
PUBLISH_LATER_HINT = "the results are kept: publish them later with memory-trials track"
# The database of an MLflow server, as its own variable names it.
BACKEND = "MLFLOW_BACKEND_STORE_URI"
SECRET = re.compile("pass|pwd|token|secret|key|cred|sig", re.IGNORECASE)
SECRET_VARIABLES = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY")


def uri_of(settings: TrackingSettings) -> str:
    """Return MLFLOW_TRACKING_URI, else tracking.uri, else the URI of `default_database`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or settings.uri or uri_of_file(default_database())


def is_default(settings: TrackingSettings) -> bool:
    """Return whether runs go to `default_database`."""
    return not (os.environ.get("MLFLOW_TRACKING_URI") or settings.uri)


def default_database() -> Path:
    """Return the absolute path of mlflow.db in the repository.

    Experiments that DVC runs in a temporary copy (`dvc exp run --temp`, the queue) use the repository's too.
    """
    return files.repository() / "mlflow.db"


def uri_of_file(path: Path) -> str:
    """Return the URI of a SQLite file.

    A % or a ? has a meaning in a URI, so they are quoted. MLflow makes the folder that sqlite:/// names, but with a
    name that is still quoted; it does not if the URI names the driver.
    """
    plain = str(path)
    quoted = plain.replace("%", "%25").replace("?", "%3F")
    return f"sqlite:///{plain}" if quoted == plain else f"sqlite+pysqlite:///{quoted}"


def is_database(uri: str) -> bool:
    """Return whether MLflow writes there itself, without a server."""
    return _kind(uri) in ("sqlite", "postgresql", "mysql", "mssql")


def _kind(uri: str) -> str:
    return re.split("[+:]", uri)[0]


def unreachable_reason(uri: str, seconds: float = SECONDS) -> str | None:
    """Return why no server or database answers at a URI, in a few words.

    Args:
        uri: The tracking URI.
        seconds: How long to wait at most.

    Returns:
        None if something answers, and for a file.

    Raises:
        UserError: It is not a URI.
    """
    kind = _kind(uri)
    if is_database(uri) and "%" in (place := mlflows_folder()):
        return f"MLflow opens no database where it is installed in a folder with a % in its name, as {place} is"
    if kind == "sqlite":
        return None
    parts = _split(uri)
    if kind not in PORTS or not parts.hostname:
        return None
    found: list[str | None] = []

    def probe() -> None:
        try:
            found.append(_answer(parts, kind, seconds))
        except TimeoutError:
            pass
        except socket.gaierror:
            found.append("no such host")
        except OSError as error:
            found.append((error.strerror or type(error).__name__).lower())

    thread = threading.Thread(target=probe, daemon=True)  # since resolving a name has no time-out
    thread.start()
    thread.join(seconds)
    return found[0] if found else f"no answer within {seconds} seconds"


def mlflows_folder() -> str:
    """Return where MLflow is installed."""
    spec = importlib.util.find_spec("mlflow")
    return spec.origin or "" if spec else ""


def _answer(parts: SplitResult, kind: str, seconds: float) -> str | None:
    if kind not in ("http", "https"):
        with socket.create_connection((parts.hostname, parts.port or PORTS[kind]), timeout=seconds) as connection:
            if kind == "postgresql":
                connection.sendall(struct.pack("!ii", 8, 80877103))  # "do you speak TLS?", answered by one letter
                return None if connection.recv(1) in (b"S", b"N", b"E") else "this is no PostgreSQL server"
        return None
    trusting = ssl.create_default_context()  # nothing secret is sent here, and mlflow checks the certificate itself
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    host = parts.netloc.rpartition("@")[2]
    try:
        address = f"{kind}://{host}{parts.path.rstrip('/')}/health"
        urllib.request.urlopen(address, timeout=seconds, context=trusting).close()
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            return f"it answers {error.code}"
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLError):  # it wants a certificate of ours: somebody is there
            return None
        raise error.reason if isinstance(error.reason, OSError) else OSError() from None
    return None


def _split(uri: str) -> SplitResult:
    try:
        parts = urlsplit(uri)
        if parts.port == 0 or any(character.isspace() for character in uri):
            raise ValueError
    except ValueError:
        raise UserError(
            "the tracking URI (MLFLOW_TRACKING_URI, or tracking.uri) cannot be read: write it as "
            "scheme://user:password@host:port/path, with %2F for a / and %40 for an @ in the password"
        ) from None
    return parts


def redacted(uri: str) -> str:
    """Return a URI as it may be printed: without user, password and query."""
    shown = re.sub(r"//.*@", "//***@", uri, flags=re.DOTALL)
    return re.sub(r"[?#].*", "?***", shown, flags=re.DOTALL)


def without_secrets(text: str, uri: str) -> str:
    """Return a library's message about a URI without what is secret in the URI or in the environment."""
    secrets = [os.environ.get(name, "") for name in SECRET_VARIABLES]
    for secret in (uri, os.environ.get(BACKEND, ""), os.environ.get("MLFLOW_REGISTRY_URI", "")):
        text = text.replace(secret, redacted(secret)) if secret else text
        secrets += _secrets(secret)
    written = {
        form
        for secret in secrets
        for plain in (secret, unquote(secret), unquote_plus(secret))
        for form in (plain, quote(plain), quote(plain, safe=""), quote_plus(plain), repr(plain)[1:-1])
    }
    for form in sorted(written - {""}, key=len, reverse=True):
        text = text.replace(form, "***")
    return re.sub(r"//[^\s'\"]*@", "//***@", text)


def _secrets(uri: str) -> list[str]:
    """Return the password (or a user without one: a token), and what is secret in the query."""
    address, _, query = uri.partition("?")
    found = [value for key, value in parse_qsl(query) if SECRET.search(key)]
    login = re.search(r"//(.*)@", address, flags=re.DOTALL)
    if login:
        user, colon, password = login[1].partition(":")
        found.append(password if colon else user)
    return found


def warn_if_unreachable(settings: TrackingSettings) -> None:
    """Warn if runs are to be published and nothing answers."""
    uri = uri_of(settings)
    reason = unreachable_reason(uri) if settings.enabled else None
    if reason:
        where = f"MLflow cannot be reached at {redacted(uri)}: {reason}"
        print(
            f"warning: {where}; training goes on, and {PUBLISH_LATER_HINT}",
            file=sys.stderr,
        )
