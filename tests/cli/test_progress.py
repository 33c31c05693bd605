from zoo.cli import progress

BAR = (
    "from zoo.cli.progress import variables_bar\n"
    "with variables_bar() as show:\n"
    "    for done in range({count}): show(done + 1, 5, 'net/weights')\n"
)


def test_elsewhere_there_is_no_bar(capsys):
    with progress.variables_bar() as show, progress.working("Comparing"):
        assert show is None
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(on_terminal):
    assert "Reading variables" in on_terminal("-c", BAR.format(count=5))


def test_no_bar_before_the_first_variable(on_terminal):
    assert on_terminal("-c", BAR.format(count=0)) == ""


def test_a_terminal_gets_a_spinner(on_terminal):
    script = "from zoo.cli.progress import working\nwith working('Comparing'): pass"
    assert "Comparing" in on_terminal("-c", script)
