"""The report of a study that is served on this machine."""

import http.client
import re
import socket

import pytest

from tune_ad.app import serving
from tune_ad.app.command_line import cli
from tune_ad.app.serving import Server, serve, served
from tune_ad.errors import UserError
from tune_ad.storage.folder import StudyFolder


@pytest.fixture
def folder(tmp_path):
    """The folder of a study with a report."""
    path = tmp_path / "tiny"
    (path / "tables").mkdir(parents=True)
    (path / "report.html").write_text("<title>tiny</title>")
    (path / "tables" / "trials.csv").write_text("a,b")
    (path / "study.json").write_text("{}")
    (tmp_path / "secret.csv").write_text("secret")
    (path / "tables" / "link.csv").symlink_to(tmp_path / "secret.csv")
    return path


def ask(server, path, host=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", path, headers={"Host": host or f"127.0.0.1:{server.port}"})
    reply = connection.getresponse()
    content = reply.read().decode()
    connection.close()
    return reply.status, content, reply


def test_the_page_frames_the_report_and_the_files_to_which_it_links(folder):
    with served(folder, 0) as server:
        status, page, reply = ask(server, "/")
        assert status == 200 and '<iframe src="report.html"' in page
        assert "frame-ancestors 'none'" in reply.headers["Content-Security-Policy"]
        assert ask(server, "/report.html")[1] == "<title>tiny</title>"
        assert ask(server, "/tables/trials.csv")[1] == "a,b"
        assert ask(server, "/report.html?reload=1", f"localhost:{server.port}")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/study.json",
        "/tables/../study.json",
        "/../secret.csv",
        "/tables/../../secret.csv",
        "/tables/%2e%2e/%2e%2e/secret.csv",
        "/tables/link.csv",
        "/tables//etc/passwd",
        "//etc/passwd",
        "/tables",
        "/tables/%00.csv",
        "/report",
        "/report.html/x",
    ],
)
def test_nothing_else_of_the_disk_is_served(folder, path):
    with served(folder, 0) as server:
        status, content, _ = ask(server, path)
    assert status == 404
    assert content == "the report has no such file"


@pytest.mark.parametrize("host", ["example.org", "example.org:80", "0.0.0.0"])
def test_a_page_from_elsewhere_is_refused(folder, host):
    with served(folder, 0) as server:
        assert ask(server, "/report.html", host)[0] == 403


def test_it_listens_to_this_machine_alone(folder):
    with served(folder, 0) as server:
        assert server.server_address[0] == "127.0.0.1"
        assert server.socket.getsockname()[0] == "127.0.0.1"


def test_the_version_changes_with_the_report(folder):
    with served(folder, 0) as server:
        before = ask(server, "/version")[1]
        assert ask(server, "/version")[1] == before
        (folder / "report.html").write_text("<title>tiny, further</title>")
        assert ask(server, "/version")[1] != before
        (folder / "report.html").unlink()
        assert ask(server, "/version")[1] == "none"
        status, page, _ = ask(server, "/report.html")
        assert status == 200 and "There is no report yet" in page


def test_a_port_that_is_taken_is_one_line(folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError) as refusal:
            Server(folder, port)
    assert str(refusal.value) == (
        f"--port {port} cannot be used (another program listens there); leave it out, and a free "
        "one is chosen"
    )


def test_the_report_is_written_again_when_records_change_and_only_then(folder, monkeypatch):
    written, said, pauses = [], [], []

    def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 2:
            StudyFolder(folder).trials.path.write_text("{}")
        if len(pauses) == 4:
            raise KeyboardInterrupt

    def write(path):
        written.append(path)
        if len(written) == 2:
            raise UserError("line 1 is damaged")

    monkeypatch.setattr(serving.time, "sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        serve(folder, 0, write, said.append)
    assert written == [folder, folder]
    assert re.fullmatch(r"tiny: http://127\.0\.0\.1:\d+/ \(Ctrl-C ends\)", said[0])
    assert said[1].startswith("tiny: report written at ")
    assert said[2:] == ["tiny: the report is not written: line 1 is damaged"]
    port = int(re.search(r":(\d+)/", said[0])[1])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=30)


def test_ctrl_c_ends_the_command_with_130(finished, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("tune_ad.app.serving.serve", interrupt)
    assert cli.main(["--serve", str(finished.folder.path)]) == 130


@pytest.mark.parametrize("port", ["80", "65536", "0.0.0.0:8000", "0.0.0.0", "-1", "x", ""])
def test_a_port_is_a_number_on_this_machine(port, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--serve", "tiny", f"--port={port}"])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--port must be a number from 1024 to 65535, on this machine alone, got" in line


def test_a_port_belongs_to_serve_and_other_options_do_not(tmp_path, capsys):
    for words in (["--report", "a", "--port", "8000"], ["--serve", "a", "--trials", "3"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(words)
        assert ended.value.code == 2
        assert "cannot be used with" in capsys.readouterr().err
    assert cli.main(["--serve", "missing", "--results", str(tmp_path)]) == 2
