/**
 * `relative` as seen from the directory that `location` lies in: absolute names stay, `.` and `..` are taken out.
 * @param location - absolute, `/` separates
 */
export function resolvePosix(location: string, relative: string): string {
  const names = relative.startsWith("/") ? [] : location.split("/").slice(0, -1);
  for (const name of relative.split("/")) {
    if (name === "..") {
      names.pop();
    } else {
      names.push(name);
    }
  }
  return `/${names.filter((name) => name !== "" && name !== ".").join("/")}`;
}
