"""Where columns of a first layer come from when covariates gain categories."""

from scarches_plus.model._surgery._strategies import column_sources


class TestColumnSources:
    def test_one_covariate_grows_at_the_end(self):
        assert column_sources(3, [2], [4]).tolist() == [0, 1, 2, 3, 4, -1, -1]

    def test_second_covariate_keeps_its_columns(self):
        assert column_sources(2, [2, 3], [3, 4]).tolist() == [0, 1, 2, 3, -1, 4, 5, 6, -1]

    def test_single_category_had_no_column(self):
        assert column_sources(2, [1], [2]).tolist() == [0, 1, -2, -1]
        assert column_sources(2, [1, 2], [2, 2]).tolist() == [0, 1, -2, -1, 2, 3]

    def test_still_single_category_has_no_column(self):
        assert column_sources(2, [1, 2], [1, 3]).tolist() == [0, 1, 2, 3, -1]
