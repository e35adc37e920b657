# SPDX-License-Identifier: Apache-2.0
"""The test bed without the agent: what a service counts is what its clients saw."""

import pytest

import frameworks
import load
from expect import assert_same, truth_counts


@pytest.mark.parametrize("framework", [f for f in frameworks.FRAMEWORKS if f.truth],
                         ids=lambda f: f.id)
@pytest.mark.parametrize("keep_alive", [True, False], ids=["keep-alive", "new-connections"])
def test_services_and_their_clients_count_the_same(service, framework, keep_alive):
    shop = service(framework)
    result = load.run(shop.address, load.mixed(2000 if keep_alive else 200, table=framework.table),
                      keep_alive=keep_alive)
    assert not result.errors
    assert_same(truth_counts(shop.truth(len(result.samples))), result.counts(), "the service")
