"""harness.measure.process_facts: what the kernel says of this very process."""

import os

from harness.measure.process_facts import cpu_model, mapped_library, sandbox_facts


def test_what_this_process_may_do() -> None:
    facts = sandbox_facts()
    assert facts["container.user"].value == f"uid {os.getuid()} gid {os.getgid()}"
    assert int(str(facts["container.capabilities"].value), 16) >= 0
    assert facts["container.network"].value is not None


def test_a_library_is_named_by_its_file_and_one_that_is_not_loaded_has_a_reason() -> None:
    assert "libc" in str(mapped_library("libc").value)
    absent = mapped_library("libnowhere.so")
    assert (absent.value, absent.reason) == (None, "no libnowhere.so is mapped")


def test_the_cpu_has_a_name_or_a_reason() -> None:
    fact = cpu_model()
    assert (fact.value is None) == (fact.reason is not None)
