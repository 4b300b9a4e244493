# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of antsibull-nox, which make lint runs; antsibull-nox.toml says which."""

import antsibull_nox

antsibull_nox.load_antsibull_nox_toml()
