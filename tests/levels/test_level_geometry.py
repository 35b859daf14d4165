"""Masses, inertias and collision groups, each against its equation."""

import numpy as np
import pytest

from rtc.levels import geometry, load_level
from rtc.levels.sources import packaged_levels


def test_box_mass_is_density_width_height_and_inertia_its_twelfth():
    """m = rho w h, I = m (w^2 + h^2) / 12."""
    vertices = np.array(geometry.box_vertices(0.6, 0.2))
    inverse_mass, inverse_inertia = geometry.polygon_inverse_mass_inertia(vertices, 2.0)
    mass = 2.0 * 0.6 * 0.2
    assert 1 / inverse_mass == pytest.approx(mass)
    assert 1 / inverse_inertia == pytest.approx(mass * (0.6**2 + 0.2**2) / 12)


def test_disc_inertia_is_jax2ds_quarter():
    """m = rho pi r^2, I = rho pi r^4 / 4."""
    inverse_mass, inverse_inertia = geometry.circle_inverse_mass_inertia(0.3, 1.5)
    assert 1 / inverse_mass == pytest.approx(1.5 * np.pi * 0.3**2)
    assert 1 / inverse_inertia == pytest.approx(1.5 * np.pi * 0.3**4 / 4)


def test_derived_masses_equal_those_stored_in_every_packaged_level():
    compared = 0
    for name in packaged_levels():
        level = load_level(name)
        for i in np.flatnonzero(level["polygon/active"] & (level["polygon/inverse_mass"] > 0)):
            vertices = level["polygon/vertices"][i, : level["polygon/n_vertices"][i]]
            found = geometry.polygon_inverse_mass_inertia(
                vertices.astype(float), float(level["polygon_densities"][i])
            )
            stored = level["polygon/inverse_mass"][i], level["polygon/inverse_inertia"][i]
            np.testing.assert_allclose(found, stored, rtol=1e-5, err_msg=f"{name} polygon {i}")
            compared += 1
        for i in np.flatnonzero(level["circle/active"] & (level["circle/inverse_mass"] > 0)):
            found = geometry.circle_inverse_mass_inertia(
                float(level["circle/radius"][i]), float(level["circle_densities"][i])
            )
            stored = level["circle/inverse_mass"][i], level["circle/inverse_inertia"][i]
            np.testing.assert_allclose(found, stored, rtol=1e-5, err_msg=f"{name} circle {i}")
            compared += 1
    assert compared > 200


def test_chain_of_joints_is_one_collision_group():
    a, b = np.array([0, 1, 3]), np.array([1, 2, 4])
    matrix = geometry.collision_matrix(5, a, b, np.array([True, True, False]))
    assert not matrix[0, 2] and not matrix[2, 0] and not matrix[3, 3]
    assert matrix[3, 4] and matrix[0, 3]


def test_world_and_body_points_are_inverse():
    position, point = np.array([1.0, 2.0]), np.array([0.3, -0.4])
    world = geometry.world_point(position, 0.7, point)
    np.testing.assert_allclose(geometry.body_point(position, 0.7, world), point, atol=1e-12)
    np.testing.assert_allclose(
        geometry.world_point(position, np.pi / 2, np.array([1.0, 0.0])), [1.0, 3.0], atol=1e-12
    )
