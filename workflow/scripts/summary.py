"""The opening page: what was run and the answer, as text and for the report."""

from rtc.job import job

with job(log=snakemake.log[0], threads=snakemake.threads, device="cpu"):
    from rtc.opening import write_opening
    from rtc.provenance import commit, versions

    write_opening(
        snakemake.input.evaluations,
        snakemake.input.timings,
        list(snakemake.input.rollouts),
        snakemake.params.facts | {"Versions": versions(), "Commit": commit()},
        markdown=snakemake.output.markdown,
        rst=snakemake.output.rst,
    )
