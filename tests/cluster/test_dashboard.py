"""The address of dask's pages that is told, and what is there."""

from __future__ import annotations

import platform
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from types import SimpleNamespace

import dask
import pytest

from nbdask.cluster import dashboard
from nbdask.cluster.dashboard import Dashboard, dashboard_of
from nbdask.cluster.open import open_cluster
from nbdask.cluster.spec import ClusterSpec
from tests.cluster.test_executors import Mark, items

#: Names of the spans that a scheduler has seen.
SPANS: set[tuple[str, ...]] = set()
ELSEWHERE = "http://scheduler.example:8787/status"


@pytest.fixture(autouse=True)
def sitting_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """No remote shell, no job; a host of that name is another one, others are this one."""
    for name in dashboard._ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(dashboard, "_is_here", lambda host: host != "scheduler.example")


def told(link: str | None, **facts) -> Dashboard | None:
    """Return what is told of an executor with pages."""
    client = SimpleNamespace(dashboard_link=link)
    return dashboard_of(SimpleNamespace(client=client, **{"dashboard": True, **facts}))


def test_pages_of_a_scheduler_started_here_are_on_loopback() -> None:
    """Though workers reach it elsewhere; one that others started is where they say."""
    link = "http://10.0.0.5:8787/status"
    assert told(link, replaced=True) == Dashboard("http://127.0.0.1:8787/status", None)
    assert told(link, replaced=False) == Dashboard(link, None)


def test_who_sits_elsewhere_gets_the_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a remote shell, in a job, and where the scheduler is on another machine."""
    tunnel = "ssh -N -L 8787:127.0.0.1:8787 "
    expected = Dashboard("http://127.0.0.1:8787/status", tunnel + "scheduler.example")
    assert told(ELSEWHERE, replaced=False) == told(ELSEWHERE, replaced=True) == expected
    assert str(expected) == f"{expected.link} (from your own machine, first: {expected.tunnel})"
    monkeypatch.setenv("SSH_CONNECTION", "1.2.3.4 5 6.7.8.9 22")
    here = told("http://10.0.0.5:8787/status", replaced=True)
    assert here == Dashboard("http://127.0.0.1:8787/status", tunnel + platform.node())


def test_no_pages_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turned off, or bokeh is missing; a configured address is taken as it is."""
    assert told(ELSEWHERE, dashboard=False) is None
    assert told(None) is None
    with dask.config.set({"distributed.dashboard.link": "https://hub/proxy/{port}/status"}):
        assert told("https://hub/proxy/1/status") == Dashboard("https://hub/proxy/1/status", None)
    monkeypatch.setattr(dashboard, "find_spec", lambda name: None)
    assert told(ELSEWHERE) is None


def test_this_machine_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    """By an address at which it can listen."""
    monkeypatch.undo()
    assert dashboard._is_here("localhost")
    assert dashboard._is_here("127.0.0.3")
    assert not dashboard._is_here("192.0.2.1")  # kept for documents


@pytest.fixture(scope="module")
def pages() -> Iterator[str]:
    """Return the address of a cluster's pages, once it has done some work."""
    if find_spec("bokeh") is None:
        pytest.skip("needs bokeh")
    with open_cluster(ClusterSpec("local", 1, 1, tls=False, dashboard=True)) as executor:
        executor.run(Mark("pages", 0), items(double, "pages", 3), lambda value: None)
        scheduler = executor.client.cluster.scheduler  # type: ignore[attr-defined]
        SPANS.update(span.name for span in scheduler.extensions["spans"].spans.values())
        found = dashboard_of(executor)
        assert found is not None
        yield found.link


def double(run: str, number: int) -> int:
    """Return twice the number."""
    return 2 * number


def read(link: str) -> str:
    """Return a page."""
    with urllib.request.urlopen(link, timeout=20) as answer:
        return str(answer.read().decode())


@pytest.mark.long
def test_the_address_that_is_told_shows_the_page(pages: str) -> None:
    """As it stands."""
    assert "<html" in read(pages)


@pytest.mark.long
def test_all_tasks_of_a_run_are_in_one_span(pages: str) -> None:
    """Named after the run."""
    assert ("nbdask-pages",) in SPANS
    assert len(SPANS - {("default",)}) == 1


@pytest.mark.long
@pytest.mark.skipif(find_spec("prometheus_client") is None, reason="needs prometheus_client")
def test_prometheus_finds_figures_beside_the_pages(pages: str) -> None:
    """Workers and tasks of the scheduler."""
    figures = read(pages.replace("/status", "/metrics"))
    assert 'dask_scheduler_workers{state="idle"} 1.0' in figures
    assert "dask_scheduler_tasks{" in figures
