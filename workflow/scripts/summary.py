"""The opening page: what was run and the answer, as text and for the report."""

from rtc.jobs.job import job

with job(log=snakemake.log[0], threads=snakemake.threads, device="cpu"):
    from rtc.jobs.provenance import commit, versions
    from rtc.report.opening import write_opening

    write_opening(
        snakemake.input.evaluations,
        snakemake.input.timings,
        list(snakemake.input.rollouts),
        snakemake.params.facts | {"Versions": versions(), "Commit": commit()},
        figure=snakemake.input.figure,
        markdown=snakemake.output.markdown,
        rst=snakemake.output.rst,
    )
