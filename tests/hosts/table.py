"""The table of docs/reference/hosts.md, made of the roster.  `python -m tests.hosts.table` writes it."""

from collections.abc import Iterable

from tests.hosts.roster import HOSTS, Host, No, Yes
from tests.support.servers import ROOT

PAGE = ROOT / "docs" / "reference" / "hosts.md"
BEGIN, END = "<!-- written by `python -m tests.hosts.table` -->", "<!-- end of the table -->"

# heading -> the cell of a host
COLUMNS = {
    "WebSocket": "websocket",
    "long-polling": "polling",
    "TLS": "tls",
    "WebSocket under its TLS": "tls_websocket",
    "SIGTERM": "drain",
    "spread": "spread",
    "proxy headers": "proxy",
    "reload": "reload",
    "several workers": "workers",
}
# heading -> the tests that look at it
TESTS = {
    "websocket": ("test_hosts.py", "test_websocket"),
    "polling": ("test_hosts.py", "test_polling"),
    "tls": ("test_tls.py", "test_tls"),
    "tls_websocket": ("test_tls.py", "test_tls"),
    "drain": ("test_hosts.py", "test_drain"),
    "spread": ("test_drain.py", "test_spread"),
    "proxy": ("test_hosts.py", "test_client_behind_a_proxy_is_the_same_on_every_way"),
    "reload": ("test_reload.py", "test_reload"),
    "workers": ("test_workers.py", "test_two_workers"),
    "speed": ("test_hosts.py", "test_many_clients_while_pages_answer"),
}


def render() -> str:
    """The table, and below it why each `no` is one."""
    reasons: dict[str, int] = {}

    def cell(host: Host, name: str) -> str:
        value = getattr(host, name)
        if isinstance(value, Yes):
            return f"yes, {value.note}" if value.note else "yes"
        return f"no [{reasons.setdefault(value.because, len(reasons) + 1)}]"

    rows = [
        [f"[{host.name}](../how-to/{host.page}.md)", f"`{host.command}`"]
        + [cell(host, name) for name in COLUMNS.values()]
        + [host.speed]
        for host in HOSTS
    ]
    head = ["host", "command", *COLUMNS, "speed"]
    lines = [line(head), line(["---"] * len(head)), *(line(row) for row in rows)]
    notes = [f"{number}. {reason[0].upper()}{reason[1:]}." for reason, number in reasons.items()]
    return "\n".join([BEGIN, "", *lines, "", "No, because:", "", *notes, "", END])


def line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def of(text: str) -> str:
    """The table in a page."""
    return BEGIN + text.partition(BEGIN)[2].partition(END)[0] + END


def write() -> None:
    """Put the table into its page, in place of the one before."""
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(text.replace(of(text), render()), encoding="utf-8")


def reasons_of(host: Host) -> list[str]:
    return [value.because for value in vars(host).values() if isinstance(value, No)]


if __name__ == "__main__":
    write()
